"""The style feature network (SGA-GAN 2.2): ResNet → FC 512 + ReLU → FC 30, the style feature → heads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from classifiers.backbones import Backbone, build_backbone
from classifiers.calibration import match_means, sampled_prior, target_prior
from classifiers.data import Pictures, load_pixels
from classifiers.ensemble import MemberSettings
from classifiers.heads import Classifier, probabilities
from classifiers.report import Table
from classifiers.runtime import LaunchSettings, RunLog, alone, launch, load_checkpoint, progress_bar, seed_step
from classifiers.train import (
    FitData,
    FitSettings,
    attribute_weights,
    balancing,
    fit,
    predict_logits,
)
from configs.errors import UserError, WorkspaceError
from configs.files import atomic_path
from configs.settings import Settings
from labeling.predictions import UNSEEN
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint, table_fingerprint

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = [
    "SfnReport",
    "SfnSettings",
    "StyleFeatureNetwork",
    "adjust_logits",
    "describe",
    "fit_data",
    "keep_shares",
    "load_sfn",
    "save_sfn",
    "standardise",
    "train_sfn",
]

TRUNCATED_NORMAL_STD = 0.5395600
"""Standard deviation of a standard normal truncated to [-1, 1], the generator's prior: real styles are scaled to it."""


class SfnSettings(Settings):
    """The network and how it is trained."""

    backbone: MemberSettings = MemberSettings(backbone="resnet18")
    pretrained: bool = False
    hidden: int = Field(512, ge=1, description="width of the FC before the style feature")
    style_size: int = Field(30, ge=1, description="width of the style feature")
    dropout: float = Field(0.2, ge=0, lt=1)
    completed_weight: float = Field(
        0.2, ge=0, le=1, description="loss weight of a completed cell; original and human ones weigh 1"
    )
    seed: int = Field(0, ge=0)
    fit: FitSettings = FitSettings()
    launch: LaunchSettings = LaunchSettings()


class StyleFeatureNetwork(nn.Module):
    """Images (n, 3, h, w) in [-1, 1] → logits (n, schema.logit_width); the style feature stands in between."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self, backbone: Backbone, schema: Schema, hidden: int = 512, style_size: int = 30, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.hidden = nn.Linear(backbone.width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.feature = nn.Linear(hidden, style_size)
        self.heads = nn.Linear(style_size, schema.logit_width)
        self.register_buffer("mean", torch.zeros(style_size))
        self.register_buffer("scale", torch.ones(style_size))

    @classmethod
    def build(cls, schema: Schema, settings: SfnSettings, *, pretrained: bool = False) -> StyleFeatureNetwork:
        """A network by its settings; errors as `build_backbone`."""
        backbone = build_backbone(settings.backbone.backbone, pretrained=pretrained, **settings.backbone.arguments)
        return cls(backbone, schema, settings.hidden, settings.style_size, settings.dropout)

    def features(self, images: Tensor) -> Tensor:
        """(n, style_size) raw, signed style features."""
        feature: Tensor = self.feature(self.dropout(self.hidden(self.backbone(images)).relu()))
        return feature

    def standardise(self, feature: Tensor) -> Tensor:
        """Raw features → the generator's space: mean 0 and the spread of its truncated normal over the training faces."""
        return (feature - self.mean) / self.scale

    def forward(self, images: Tensor) -> Tensor:
        """(n, schema.logit_width) logits."""
        logits: Tensor = self.heads(self.features(images))
        return logits

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, schema.logit_width) and standardised style (n, style_size) in one pass."""
        feature = self.features(images)
        return self.heads(feature), self.standardise(feature.float())


@dataclass(frozen=True)
class SfnReport:
    """Table 1 on the held-out faces, the SFN in its last row."""

    held_out: Table


def train_sfn(workspace: Workspace, settings: SfnSettings, *, progress: bool = True) -> SfnReport:
    """Train the SFN on known and completed labels; write `sfn/network.safetensors`, `sfn/styles.npz` and Table 1's last row.

    Stopped and typed again, it continues; done already from the same labels and settings, it does nothing.

    Raises:
        WorkspaceError: the ensemble is not done.
        InputError: another training of the SFN is at work in the workspace.
    """
    workspace.require("ensemble")
    fabric = launch(settings.launch)
    with alone(fabric, workspace.folder("sfn"), "sga sfn"):
        return _train_sfn(workspace, settings, fabric, progress)


def _train_sfn(workspace: Workspace, settings: SfnSettings, fabric: Fabric, progress: bool) -> SfnReport:
    ensemble, folder, table = workspace.require("ensemble"), workspace.folder("sfn"), workspace.table()
    pixels, schema = load_pixels(workspace, table), table.schema
    idle: Any = {"launch": True, "fit": {"checkpoint_seconds"}}
    inputs = fingerprint(table_fingerprint(table, completed=True), settings.model_dump_json(exclude=idle))
    data = fit_data(table, pixels, settings.fit.rarity, settings.completed_weight)

    made = workspace.record("sfn")
    if made and made.get("made_from") == inputs and workspace.state("sfn") == "done" and _readable(folder):
        return SfnReport(Table.load(folder / "table1.json"))  # nothing it reads has changed
    workspace.begin("sfn")
    seed_step(settings.seed, -1)
    network = StyleFeatureNetwork.build(schema, settings, pretrained=settings.pretrained)
    checkpoint = folder / "checkpoint.pt"
    stamp = folder / "inputs.txt"
    if stamp.is_file() and stamp.read_text() != inputs:
        checkpoint.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(inputs)
    started = load_checkpoint(checkpoint)
    seen_before = -1 if started is None else int(started["seen"])
    with progress_bar(progress) as bar, RunLog(folder, seen=seen_before) as log:
        task = bar.add_task("style feature network", total=settings.fit.images, note="")

        def on_step(seen: int, values: dict[str, float]) -> None:
            bar.update(task, completed=min(seen, settings.fit.images), note=f"loss {values['loss']:.3f}")
            if (seen // settings.fit.batch) % 20 == 0:
                log.tick(seen, values)

        fit(network, schema, data, settings.fit, fabric, seed=settings.seed, checkpoint=checkpoint, on_step=on_step)
        adjust_logits(network, table, data)
        task = bar.add_task("style of every face", total=len(table), note="")
        logits, styles = describe(network, pixels, np.arange(len(table)), fabric, lambda count: bar.advance(task, count))
    mean, scale = standardise(network, styles[data.rows])
    save_sfn(folder / "network.safetensors", network, schema, settings)
    with atomic_path(folder / "styles.npz") as temporary, temporary.open("wb") as handle:
        np.savez(handle, face=table.faces.astype("U64"), style=((styles - mean) / scale).astype(np.float32))

    held_out = Table.load(workspace.folder("ensemble") / "table1.json")
    for name in held_out.cells:
        known = table.in_split("test") & table.labelled(name)
        held_out.add(
            name, "SFN", probabilities(schema, name, torch.from_numpy(logits[known])).numpy(), table.codes(name)[known]
        )
    held_out.save(folder / "table1")
    checkpoint.unlink(missing_ok=True)
    output = fingerprint(inputs, (folder / "network.safetensors").stat().st_size, styles.tobytes())
    workspace.finish("sfn", output, settings.model_dump(mode="json"), ensemble=ensemble["output"], made_from=inputs)
    return SfnReport(held_out)


def fit_data(table: LabelTable, pixels: np.ndarray | Pictures, rarity: float, completed: float) -> FitData:
    """All faces but the test's that know gender or a style; a completed cell counts `completed` of an original one."""
    names = [attribute.name for attribute in table.schema.with_role("gender", "style")]
    codes = {name: table.codes(name) for name in names}
    weights = {name: attribute_weights(table, name, completed) for name in names}
    rows = np.flatnonzero(np.any([weight > 0 for weight in weights.values()], axis=0) & table.trainable())
    return FitData.drawing(pixels, rows, codes, weights, balancing(codes, weights, rows, rarity))


def _readable(folder: Path) -> bool:
    """Whether what a later stage reads is whole: its error sends people here to make it again."""
    try:
        load_sfn(folder / "network.safetensors")
        with np.load(folder / "styles.npz") as stored:
            stored["face"], stored["style"]
        Table.load(folder / "table1.json")
    except (WorkspaceError, OSError, ValueError, LookupError, BadZipFile):
        return False
    return True


@torch.no_grad()
def standardise(network: StyleFeatureNetwork, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Set and return the mean and scale (style_size,) that take raw `features` (k, style_size) to the generator's space."""
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6) / TRUNCATED_NORMAL_STD
    network.mean.copy_(torch.from_numpy(mean))
    network.scale.copy_(torch.from_numpy(scale))
    return mean, scale


@torch.no_grad()
def adjust_logits(network: StyleFeatureNetwork | Classifier, table: LabelTable, data: FitData, *, undo: bool = False) -> None:
    """Fold the correction from the class shares that training met to those that decisions aim at into the heads' biases.

    Gender is then decided as if both were equally frequent, a colour as frequent as among the labelled faces.
    undo: take it out again, before training goes on.
    """
    sign = -1.0 if undo else 1.0
    mass = {name: data.sampling * weight[data.rows] for name, weight in data.weights.items()}
    for name, codes in data.codes.items():
        attribute = table.schema[name]
        if attribute.kind == "ordinal" or not table.labelled(name).any():  # a regressed score has no classes to balance
            continue
        training = sampled_prior(codes[data.rows], mass[name], attribute.size)
        target = target_prior(table, name)
        seen = training > UNSEEN  # a value nobody has labelled must not win by a correction
        shift = np.where(seen, np.log(target) - np.log(training), 0.0)
        if attribute.kind == "independent":  # one logit: the log-odds of yes
            shift = (shift[1:] - shift[:1]) * seen.all()
        network.heads.bias[table.schema.logit_slices[name]] += sign * torch.from_numpy(shift).to(network.heads.bias)


@torch.no_grad()
def keep_shares(network: StyleFeatureNetwork, schema: Schema, before: np.ndarray, now: np.ndarray) -> None:
    """Shift the heads so that on the same faces every class is as probable in the mean as it was.

    before, now: (n, logit_width) logits of the same faces. A finetuning leaves a network that is surer of what it was trained
    on and leans to the classes that were drawn often; it tells them apart as well as before, but no longer at the same place.
    """
    for attribute in schema:
        if attribute.kind == "ordinal":
            continue
        part = schema.logit_slices[attribute.name]
        wanted = probabilities(schema, attribute.name, torch.from_numpy(before)).numpy().mean(axis=0)
        logits = now[:, part].astype(np.float64)
        if attribute.kind == "independent":  # one logit: the log-odds of yes
            bias = match_means(np.concatenate([np.zeros_like(logits), logits], axis=1), wanted)
            bias = bias[1:] - bias[:1]
        else:
            bias = match_means(logits, wanted)
        network.heads.bias[part] += torch.from_numpy(bias).to(network.heads.bias)


def describe(
    network: StyleFeatureNetwork,
    pixels: np.ndarray | Pictures,
    rows: np.ndarray,
    fabric: Fabric,
    on_batch: Any = lambda count: None,
) -> tuple[np.ndarray, np.ndarray]:
    """(k, logit_width) logits and (k, style_size) raw features of pixels[rows], each averaged over the face and its mirror
    image."""

    def both(images: Tensor) -> Tensor:
        feature = network.features(images)
        return torch.cat([network.heads(feature).float(), feature.float()], dim=1)

    out = predict_logits(both, pixels, rows, fabric, mirror=True, on_batch=on_batch)
    width = network.heads.out_features
    return out[:, :width], out[:, width:]


def save_sfn(path: Path, network: StyleFeatureNetwork, schema: Schema, settings: SfnSettings) -> None:
    """Write weights as safetensors; the schema and the architecture travel in its header."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with atomic_path(path) as temporary:
        header = {"schema": schema.to_json(), "settings": settings.model_dump_json()}
        temporary.write_bytes(_in_order(save(tensors, header)))  # its own writer would not tell a full disk as an OSError


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its metadata sorted: they come in any order, and later stages know a file by its bytes."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + file[end:]


def load_sfn(path: Path) -> tuple[StyleFeatureNetwork, Schema, SfnSettings]:
    """What `save_sfn` wrote, in eval mode.

    Raises:
        WorkspaceError: no such file, or a damaged one.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            header = stored.metadata() or {}
        schema = Schema.from_json(header["schema"])
        settings = SfnSettings.model_validate(json.loads(header["settings"]))
        network = StyleFeatureNetwork.build(schema, settings)
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, LookupError, ValueError, RuntimeError, UserError) as error:
        raise WorkspaceError(
            f"Expected a style feature network at {path}, found none that can be read. Type first: sga sfn"
        ) from error
    return network.to(memory_format=torch.channels_last).eval(), schema, settings
