"""The judge as it is now, looking at faces of the workspace's generator."""

from __future__ import annotations

import numpy as np

from classifiers.runtime import LaunchSettings, launch
from classifiers.sfn import describe, load_sfn
from configs.files import read_json
from labeling.workspace import Workspace

__all__ = ["Judge", "judge_version"]


def judge_version(space: Workspace) -> str | None:
    """Names the tuned judge, "judge-" and 8 hex digits; None before the first `sga quality tune`, or for another generator.

    Labels that changed since make no other judge of it: it was tuned for the generator that is there.
    """
    judge, generator = space.record("quality"), space.record("gan")
    if judge is None or generator is None or judge["inputs"].get("gan") != generator["output"]:
        return None
    return f"judge-{judge['output'][:8]}"


class Judge:
    """The tuned one, or before there is one the plain SFN, of which only the styles count.

    version: see `judge_version`; thresholds: (genders,) quality from which a face is accepted, 0 without a tuned judge.
    """

    def __init__(self, space: Workspace) -> None:
        self.version = judge_version(space)
        folder = space.folder("sfn") if self.version is None else space.folder("quality")
        self._network, schema, _ = load_sfn(folder / ("network.safetensors" if self.version is None else "judge.safetensors"))
        self._fabric = launch(LaunchSettings(precision="32"))  # as exactly as the thresholds are told
        self._network.to(self._fabric.device)
        self.quality, self.gender = schema.with_role("quality")[0], schema.with_role("gender")[0]
        self._column = schema.logit_slices[self.quality.name]
        self.thresholds = np.zeros(self.gender.size)
        self._limits = np.zeros((self.gender.size, self.quality.size + 1))
        self._limits[:, 1:] = np.linspace(0, 1, self.quality.size + 1)[1:]
        if self.version is not None:
            told = read_json(folder / "calibration.json")
            own = told.get("levels_by_gender", {})
            for code, name in enumerate(self.gender.values):
                self.thresholds[code] = told["by_gender"].get(name, told["threshold"])
                limits = [own.get(level, {}).get(name, told["levels"][level]) for level in self.quality.values[1:]]
                self._limits[code, 1:-1] = limits

    def look(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Quality (n,) float64 in [0, 1] and style (n, style_size) of images (n, size, size, 3) uint8."""
        logits, features = describe(self._network, images, np.arange(len(images)), self._fabric)
        mean, scale = (values.cpu().numpy() for values in (self._network.mean, self._network.scale))
        return 1 / (1 + np.exp(-logits[:, self._column][:, 0].astype(np.float64))), (features - mean) / scale

    def levels(self, score: np.ndarray, gender: np.ndarray) -> list[tuple[str, float]]:
        """The level of each face and how sure that is: 0.5 on the limit between two levels, 1 in the middle of one, or at an
        end of the scale. It puts faces in order; it is no probability."""
        limits, last = self._limits[gender], self.quality.size - 1
        code = (score[:, None] >= limits[:, 1:-1]).sum(axis=1)
        low, high = (limits[np.arange(len(score)), code + more] for more in (0, 1))
        inside = np.minimum(np.where(code > 0, score - low, np.inf), np.where(code < last, high - score, np.inf))
        width = np.where((code > 0) & (code < last), 0.5, 1.0) * np.maximum(high - low, 1e-9)
        sure = 0.5 + 0.5 * np.clip(inside / width, 0, 1)
        return [(self.quality.values[one], float(value)) for one, value in zip(code, sure, strict=True)]
