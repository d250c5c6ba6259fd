"""What sees the faces: networks that turn pictures into features, and the features of the real faces, made once."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from classifiers.backbones import Backbone, build_backbone
from classifiers.data import Pictures, to_tensor
from configs.errors import InputError, MissingExtra
from configs.files import atomic_path, check_space
from labeling.workspace import fingerprint

__all__ = [
    "Extractor",
    "InceptionFeatures",
    "TimmFeatures",
    "in_batches",
    "inception",
    "mirrored",
    "pretrained",
    "stored_features",
    "weights_hash",
]


class Extractor(Protocol):
    """Pictures to features. name: as asked for; fingerprint: names its weights."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def features(self, images: np.ndarray) -> np.ndarray:
        """(n, size, size, 3) uint8 RGB → (n, width) float32."""
        ...


@torch.inference_mode()
def in_batches(network: Callable[[Tensor], Tensor], images: np.ndarray, batch: int, device: torch.device) -> np.ndarray:
    """(n, width) float32 of `network` on (n, h, w, 3) uint8 pictures, given to it in [-1, 1].

    Every pass has exactly `batch` rows, the last one padded: a face's features depend neither on how many are asked for nor on
    its company, bit for bit.
    """
    out = []
    for start in range(0, len(images), batch):
        rows = images[start : start + batch]
        full = rows if len(rows) == batch else np.concatenate([rows, np.repeat(rows[:1], batch - len(rows), axis=0)])
        full = np.require(full, requirements=("C", "W"))  # a view of a memory map is not writable, which torch asks for
        out.append(network(to_tensor(full, device)).float().cpu().numpy()[: len(rows)])
    return np.concatenate(out)


def mirrored(images: np.ndarray) -> np.ndarray:
    """(k, h, w, 3), left and right exchanged."""
    return np.ascontiguousarray(images[:, :, ::-1])


class TimmFeatures:
    """Pooled features of a timm network, on pictures resized to the size that it was trained at."""

    def __init__(self, name: str, backbone: Backbone, device: torch.device, batch: int = 64) -> None:
        self.name, self.batch, self.device = name, batch, device
        self.fingerprint = weights_hash(backbone)
        self._backbone = backbone.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        config: Any = backbone.network.pretrained_cfg
        self._size = tuple(config["input_size"][1:])

    def features(self, images: np.ndarray) -> np.ndarray:
        """As `Extractor.features`."""
        return in_batches(self._see, images, self.batch, self.device)

    def _see(self, images: Tensor) -> Tensor:
        features: Tensor = self._backbone(F.interpolate(images, size=self._size, mode="bilinear", antialias=True))
        return features


def pretrained(name: str, device: torch.device, batch: int) -> TimmFeatures:
    """The timm network behind `timm:NAME`, pretrained.

    Raises:
        ConfigError: timm knows no such network.
        InputError: its weights are neither on this disk nor can be fetched.
    """
    network = name.removeprefix("timm:")
    try:
        return TimmFeatures(name, build_backbone(network, pretrained=True), device, batch)
    except InputError as error:
        raise InputError(
            f"Expected the pretrained weights of {network} in the hub's cache or a network to fetch them, found neither. Fetch "
            "them once on a machine with a network and copy its cache here, or type: --features referee"
        ) from error


class InceptionFeatures:
    """The 2048 features of the TensorFlow InceptionV3 that published FIDs are made of, as torch-fidelity rebuilds it."""

    name = "inception"

    def __init__(self, network: nn.Module, fingerprint: str, device: torch.device, batch: int = 64) -> None:
        """network: (n, 3, h, w) uint8 → a tuple whose first is (n, 2048); it resizes by itself."""
        self._network = network.to(device).eval()
        self.fingerprint, self.batch, self.device = fingerprint, batch, device

    def features(self, images: np.ndarray) -> np.ndarray:
        """As `Extractor.features`."""
        return in_batches(self._see, images, self.batch, self.device)

    def _see(self, images: Tensor) -> Tensor:
        pixels = images.add(1).mul(127.5).round().to(torch.uint8)
        features: Tensor = self._network(pixels)[0]
        return features


def inception(weights: str | Path | None, device: torch.device, batch: int) -> InceptionFeatures:
    """torch-fidelity's InceptionV3 with the weights in a file.

    Raises:
        MissingExtra: torch-fidelity is not installed.
        InputError: no file of weights is named, or it holds none of this network.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ModuleNotFoundError as error:
        raise MissingExtra("torch-fidelity", "fidelity") from error
    if weights is None or not Path(weights).is_file():
        raise InputError(
            f"Expected torch-fidelity's weights of InceptionV3 in a file, found {weights or 'none named'}. Download "
            "weights-inception-2015-12-05-6726825d.pth from its releases once and type: --inception-weights FILE"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how it reads its own file
            torch.load(weights, map_location="cpu", weights_only=True)  # it would unpickle anything: refuse what is no weights
            network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights))
    except Exception as error:  # unpickling, a missing key, another shape: each raises its own kind
        raise InputError(
            f"Expected torch-fidelity's weights of InceptionV3 in {weights}, found others ({type(error).__name__}). "
            "Download weights-inception-2015-12-05-6726825d.pth from its releases again."
        ) from error
    return InceptionFeatures(network, hashlib.sha256(Path(weights).read_bytes()).hexdigest()[:16], device, batch)


def weights_hash(*networks: nn.Module) -> str:
    """16 hex digits over names and values of all weights."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in (item for network in networks for item in network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def stored_features(
    folder: Path,
    part: str,
    extractor: Extractor,
    pixels: np.ndarray | Pictures,
    rows: np.ndarray,
    faces: np.ndarray,
    *,
    mirror: bool = False,
    on_batch: Callable[[int], Any] = lambda count: None,
) -> np.ndarray:
    """(k, width) float32 of the real faces pixels[rows], memory-mapped from `folder`; made there once.

    part: names these rows in the file; faces: (k,) their identities; mirror: of their mirror images; on_batch gets the number
    of faces that are done.
    """
    kind = extractor.name.replace(":", "-").replace("/", "-") + f"-{part}" + ("-mirrored" if mirror else "")
    path = folder / f"{kind}-{fingerprint(extractor.fingerprint, *faces)}.npy"
    if not path.is_file():
        check_space(folder, len(rows) * 4096)
        out = None
        with atomic_path(path) as temporary:
            for start in range(0, len(rows), 256):
                images = pixels[rows[start : start + 256]]
                seen = extractor.features(mirrored(images) if mirror else images)
                if out is None:
                    out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=(len(rows), seen.shape[1]))
                out[start : start + len(seen)] = seen
                on_batch(len(seen))
            if out is not None:
                out.flush()
            del out
        for old in folder.glob(f"{kind}-{'?' * 16}.npy"):
            if old != path:
                old.unlink()
    stored: np.ndarray = np.load(path, mmap_mode="r")
    return stored
