"""The workspace's style feature network as the fixed eyes of a discriminator."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from classifiers.sfn import load_sfn
from configs.errors import WorkspaceError
from labeling.workspace import Workspace
from sga.models import FrozenFeatures, reads_features
from sga.training.settings import GanSettings

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["load_features"]


def load_features(
    workspace: Workspace, settings: GanSettings, fabric: Fabric, stored: Mapping[str, Any] | None = None
) -> FrozenFeatures | None:
    """What `settings.discriminator` looks through, on the device; None where it looks at pixels.

    stored: checkpoint of the run that goes on; None = a new one.

    Raises:
        WorkspaceError: there is no style feature network, or another than the run in the workspace was trained with.
    """
    if not reads_features("discriminator", settings.discriminator.name):
        return None
    path = workspace.folder("sfn") / "network.safetensors"
    network, _, _ = load_sfn(path)
    features = FrozenFeatures(network.backbone, _fingerprint(network.backbone)).to(fabric.device)
    state = None if stored is None else stored["discriminator"].get("_extra_state")
    if state is not None and (trained := bytes(state.tolist()).decode()) != features.fingerprint:
        raise WorkspaceError(
            f"Expected the style feature network that the run in {workspace.folder('gan')} was trained with "
            f"({trained[:8]}), found another ({features.fingerprint[:8]}) at {path}. Put that file back, or remove "
            f"{workspace.folder('gan')} to start anew."
        )
    return features


def _fingerprint(network: nn.Module) -> str:
    """16 hex digits of a network's weights, whatever the file around them."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()
