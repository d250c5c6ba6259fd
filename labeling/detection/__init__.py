"""Faces in illustrations: an OpenCV cascade or any ONNX detector, boxes merged, squares cut out, recall and precision."""

from labeling.detection.boxes import crop_square, merge_boxes, overlap, square_about
from labeling.detection.detector import Detector, DetectorError, make_detector
from labeling.detection.find import FoundFace, find_faces
from labeling.detection.measure import Scored, match_boxes, score_boxes
from labeling.detection.settings import DetectionSettings

__all__ = [
    "DetectionSettings",
    "Detector",
    "DetectorError",
    "FoundFace",
    "Scored",
    "crop_square",
    "find_faces",
    "make_detector",
    "match_boxes",
    "merge_boxes",
    "overlap",
    "score_boxes",
    "square_about",
]
