"""A small judge for where every byte is downloaded: it learns from the big one's answers to the generator's own faces, of which
there are as many as wanted (knowledge distillation, Hinton et al. 2015), and looks at each face once instead of twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from classifiers.data import to_tensor
from classifiers.ensemble import MemberSettings
from classifiers.runtime import LaunchSettings, batch_rows, launch, progress_bar, seed_step
from classifiers.sfn import SfnSettings, StyleFeatureNetwork
from configs.errors import DivergedError
from configs.files import read_json
from configs.settings import Settings
from labeling.schema import Schema
from sga.augment import flip
from sga.export.attempts import Attempts
from sga.export.graphs import export_judge
from sga.generation.core import read_verdict
from sga.generation.criterion import Criterion
from sga.generation.face_model import FaceModel
from sga.generation.pictures import as_images
from sga.generation.sessions import Network
from sga.model_folder import SMALL_JUDGE, seal_model_folder

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["SmallJudgeReport", "SmallJudgeSettings", "add_small_judge", "distillation_losses"]

_HELD_OUT = 8
"""One face in so many is held out, to measure on."""


class SmallJudgeSettings(Settings):
    """The network that a page downloads as its judge, and how it is trained."""

    backbone: MemberSettings = MemberSettings(backbone="resnet10t", arguments={"channels": [40, 80, 160, 320]})
    hidden: int = Field(256, ge=1, description="width of the FC before the style feature")
    samples: int = Field(16_384, ge=64, description="faces drawn and judged to learn from")
    images: int = Field(160_000, ge=1, description="length of the training, images")
    batch: int = Field(64, ge=2)
    learning_rate: float = Field(2e-3, gt=0, description="AdamW's peak; one cycle")
    seed: int = Field(0, ge=0)
    launch: LaunchSettings = LaunchSettings()


@dataclass(frozen=True)
class SmallJudgeReport:
    """What the small judge keeps of the big one's verdict, on attempts that it was not trained on.

    agreement: share of attempts on whose acceptance both say the same; kept: share of those accepted by the small one that the
    big one accepts too; quality: correlation of the two qualities; attributes: share of equal most probable values, by name.
    """

    samples: int
    agreement: float
    kept: float
    quality: float
    attributes: dict[str, float]


def add_small_judge(
    path: str | Path, attempts: Attempts, settings: SmallJudgeSettings, *, progress: bool = True
) -> SmallJudgeReport:
    """Train `judge-small.onnx` on seven of eight attempts of a model folder, write it in 8 bits and seal the folder anew.

    Raises:
        DivergedError: the loss left the finite numbers.
    """
    path = Path(path)
    model = FaceModel.load(path)
    schema, fabric = model.spec.attributes, launch(settings.launch)
    network = _student(schema, settings, attempts)
    held = np.arange(len(attempts)) % _HELD_OUT == 0
    _fit(network, schema, attempts, np.flatnonzero(~held), settings, fabric, progress=progress)
    export_judge(path / SMALL_JUDGE, network, schema, model.size, "int8", mirror=False)
    report = _report(model, (path / SMALL_JUDGE).read_bytes(), attempts, np.flatnonzero(held))
    raw = read_json(path / "model.json")
    seal_model_folder(path, {**raw, "metrics": {**raw.get("metrics", {}), "small_judge": asdict(report)}})
    return report


def _student(schema: Schema, settings: SmallJudgeSettings, attempts: Attempts) -> StyleFeatureNetwork:
    seed_step(settings.seed, -1)
    size = attempts.verdict.style.shape[1]
    of_sfn = SfnSettings(backbone=settings.backbone, hidden=settings.hidden, style_size=size, dropout=0.0)
    return StyleFeatureNetwork.build(schema, of_sfn)


def _fit(
    network: StyleFeatureNetwork,
    schema: Schema,
    attempts: Attempts,
    rows: np.ndarray,
    settings: SmallJudgeSettings,
    fabric: Fabric,
    *,
    progress: bool,
) -> None:
    network = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = max(1, settings.images // settings.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps + 1, pct_start=0.1)
    told = {**attempts.verdict.probabilities, "style": attempts.verdict.style, "quality": attempts.verdict.quality}
    targets = {name: torch.from_numpy(np.ascontiguousarray(values)).to(fabric.device) for name, values in told.items()}
    network.train()
    with progress_bar(progress) as bar:
        task = bar.add_task("small judge", total=settings.images, note="")
        for step in range(steps):
            picked = rows[batch_rows(len(rows), settings.seed, step * settings.batch, settings.batch)]
            seed_step(settings.seed, step)
            images = flip(to_tensor(attempts.images[picked], fabric.device))  # the big judge says the same of both
            index = torch.from_numpy(picked).to(fabric.device)
            with fabric.autocast():
                logits, style = network.judge(images)
            losses = distillation_losses(schema, logits, style, {name: value[index] for name, value in targets.items()})
            loss = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(loss):
                raise DivergedError(
                    f"Expected finite losses of the small judge, found {loss.item()} after {step * settings.batch} images. "
                    f"Type the command again with --set small_judge.learning_rate={settings.learning_rate / 3:.1g}"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            cycle.step()
            bar.update(task, completed=(step + 1) * settings.batch, note=f"loss {loss.item():.3f}")
    network.eval()


def distillation_losses(schema: Schema, logits: Tensor, style: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One raw term an attribute and one of the style; each is 0 where the answers are the big judge's.

    logits: (n, schema.logit_width); style: (n, style_size); targets: the big judge's probabilities by attribute, (n, values) or
    (n,) of "yes", its "style" and its "quality" (n,) in [0, 1]. The terms are Kullback-Leibler divergences (of two outcomes
    for quality and what is independent), and the style's mean squared difference.
    """
    losses = {"style": F.mse_loss(style.float(), targets["style"])}
    for attribute in schema:
        out = logits[:, schema.logit_slices[attribute.name]].float()
        if attribute.kind == "exclusive":
            target = targets[attribute.name].clamp(min=1e-7)
            losses[attribute.name] = F.kl_div(out.log_softmax(dim=1), target, reduction="batchmean")
        else:
            target = targets["quality" if attribute.role == "quality" else attribute.name]
            chance, odds = torch.stack([target, 1 - target], dim=1), torch.stack([out[:, 0], -out[:, 0]], dim=1)
            losses[attribute.name] = F.kl_div(F.logsigmoid(odds), chance, reduction="batchmean")
    return losses


def _report(model: FaceModel, content: bytes, attempts: Attempts, rows: np.ndarray) -> SmallJudgeReport:
    """Compare the two judges on `rows` of the attempts, the small one as it is written."""
    shape = {"image": (model.size, model.size, 3)}
    judge = Network(content, SMALL_JUDGE, model.spec.micro_batch, shape, {"probabilities", "style", "quality"})
    told, gender = read_verdict(model.spec, judge(image=as_images(attempts.images[rows], model.size))), attempts.gender[rows]
    seen = told.probabilities
    big = {name: values[rows] for name, values in attempts.verdict.probabilities.items()}
    quality = attempts.verdict.quality[rows]
    criterion = Criterion.of(model.spec)

    def accepted(probabilities: Mapping[str, np.ndarray], scores: np.ndarray) -> np.ndarray:
        each = ({name: values[row] for name, values in probabilities.items()} for row in range(len(rows)))
        return np.array([not criterion.failed(one, scores[row], gender[row]) for row, one in enumerate(each)])

    by_small, by_big = accepted(seen, told.quality), accepted(big, quality)
    attributes = {name: float(np.mean(_values(seen[name]) == _values(big[name]))) for name in big}
    spread = min(float(told.quality.std()), float(quality.std()))
    return SmallJudgeReport(
        samples=len(rows),
        agreement=float(np.mean(by_small == by_big)),
        kept=float(by_big[by_small].mean()) if by_small.any() else 0.0,
        quality=float(np.corrcoef(told.quality, quality)[0, 1]) if spread > 0 else 0.0,
        attributes=attributes,
    )


def _values(probability: np.ndarray) -> np.ndarray:
    """(n,) codes of the most probable values."""
    return probability.argmax(axis=1) if probability.ndim == 2 else (probability >= 0.5).astype(np.int64)
