"""The warm start: the generator first learns to draw as a decoder, and the prior is folded into its first layer."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.runtime import launch, seed_step
from classifiers.sfn import load_sfn
from configs.errors import ConfigError, DivergedError, WorkspaceError
from labeling.workspace import Workspace
from sga.losses.perceptual import Perception
from sga.models import make_network
from sga.models.encoder import Encoder
from sga.training import GanSettings, train
from sga.training.data import TrainingFaces, load_training_faces
from sga.training.warm_start import Anchor, align_prior, prepare_warm_start, warm_start, warm_start_clock

WARM = {"images": 480, "batch": 16, "channels": 8, "layers": 2, "learning_rate": 4e-3}


@dataclass
class Parts:
    settings: GanSettings
    faces: TrainingFaces
    generator: Any
    encoder: Encoder
    perception: Perception
    fabric: Any
    losses: list[dict[str, float]]

    def copy(self) -> "Parts":
        return Parts(*(copy.deepcopy(part) if isinstance(part, torch.nn.Module) else part for part in vars(self).values()))


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, dict[str, Any]]) -> GanSettings:
    return GanSettings.model_validate({**tiny_settings["gan"], "warm_start": WARM})


@pytest.fixture(scope="module")
def fresh(sfn_workspace: Path, settings: GanSettings) -> Parts:
    faces = load_training_faces(Workspace(sfn_workspace), settings)
    seed_step(1, 0)
    generator = make_network("generator", "srresnet", **settings.network_arguments("generator"))
    encoder = Encoder(settings.size, settings.noise_size, 1 + settings.style_size, 8)
    network, _, _ = load_sfn(sfn_workspace / "sfn" / "network.safetensors")
    return Parts(settings, faces, generator, encoder, Perception(network.backbone, 2), launch(settings.launch), [])


def learn(parts: Parts, **arguments: Any) -> Parts:
    def on_step(seen: int, values: dict[str, float]) -> None:
        parts.losses.append({"seen": seen, **values})

    assert parts.settings.warm_start is not None
    warm_start(
        parts.generator,
        parts.encoder,
        parts.perception,
        parts.faces,
        arguments.pop("settings", parts.settings.warm_start),
        parts.fabric,
        seed=0,
        on_step=arguments.pop("on_step", on_step),
        **arguments,
    )
    return parts


@pytest.fixture(scope="module")
def learnt(fresh: Parts) -> Parts:
    parts = fresh.copy()
    parts.losses = []
    return learn(parts)


def test_both_distances_fall(learnt: Parts) -> None:
    assert [step["seen"] for step in learnt.losses] == list(range(16, 481, 16))
    for term in ("W/pixel", "W/perceptual"):
        values = [step[term] for step in learnt.losses]
        assert np.mean(values[-5:]) < 0.9 * np.mean(values[:2]), (term, values)


def test_the_encoded_noise_of_the_faces_has_the_priors_mean_and_spread(learnt: Parts) -> None:
    batch = learnt.faces.batch(np.arange(len(learnt.faces)), torch.device("cpu"))
    condition = learnt.generator.condition(batch.gender.clamp(min=0), batch.style)
    seed_step(0, 1)
    with torch.no_grad():
        noise = torch.cat([learnt.encoder(batch.images, condition) for _ in range(20)])
    np.testing.assert_allclose(noise.mean(dim=0).numpy(), 0, atol=0.05)
    np.testing.assert_allclose(noise.std(dim=0).numpy(), 0.5396, atol=0.06)
    correlation = np.corrcoef(noise.numpy().T) - np.eye(noise.shape[1])
    assert np.abs(correlation).max() < 0.15


def test_aligning_changes_the_coordinates_and_not_the_drawings(fresh: Parts) -> None:
    parts = fresh.copy()
    with torch.no_grad():  # a posterior far from any prior, and dependent on the condition
        parts.encoder.head.weight.mul_(30)
        parts.encoder.head.bias[: parts.settings.noise_size] += torch.linspace(-1, 1, parts.settings.noise_size)
        for weight in parts.generator.parameters():  # fresh weights draw almost nothing
            weight.mul_(4)
    parts.generator.eval(), parts.encoder.eval()
    batch = parts.faces.batch(np.arange(24), torch.device("cpu"))
    gender = batch.gender.clamp(min=0)
    condition = parts.generator.condition(gender, batch.style)

    def encoded() -> torch.Tensor:
        torch.manual_seed(5)
        return parts.encoder(batch.images, condition)  # type: ignore[no-any-return]

    with torch.no_grad():
        code = encoded()  # before the alignment the map is the identity
        before = parts.generator(code, gender, batch.style)
        align_prior(parts.generator, parts.encoder, parts.faces, parts.fabric)
        noise = encoded()
        after = parts.generator(noise, gender, batch.style)
    assert float((noise - code).abs().max()) > 0.1
    assert float(before.std()) > 0.05
    torch.testing.assert_close(after, before, atol=5e-3, rtol=0)  # 64-bit algebra, 32-bit weights


def test_an_interrupted_warm_start_ends_in_the_same_weights(fresh: Parts, learnt: Parts, tmp_path: Path) -> None:
    parts = fresh.copy()
    wanted = learnt.settings.warm_start.model_copy(update={"checkpoint_seconds": 1e-9})  # type: ignore[union-attr]
    seen: list[int] = []

    def on_step(images: int, values: dict[str, float]) -> None:
        seen.append(images)
        if len(seen) == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(parts, settings=wanted, checkpoint=tmp_path / "warm.pt", on_step=on_step)
    again = fresh.copy()
    learn(again, settings=wanted, checkpoint=tmp_path / "warm.pt", on_step=on_step)
    assert seen[11:13] == [192, 192]
    for part in ("generator", "encoder"):
        straight, resumed = getattr(learnt, part).state_dict(), getattr(again, part).state_dict()
        assert all(torch.equal(value, resumed[name]) for name, value in straight.items()), part


def test_the_anchor_teaches_the_generator_and_not_the_encoder(learnt: Parts) -> None:
    parts = learnt.copy()
    parts.encoder.requires_grad_(False)
    assert parts.settings.warm_start is not None
    anchor = Anchor(parts.encoder, parts.perception, parts.settings.warm_start)
    real = parts.faces.batch(np.arange(8), torch.device("cpu"))
    parts.generator.train().zero_grad()
    term = anchor(parts.fabric, parts.generator, real)
    assert term.shape == ()
    term.backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in parts.generator.parameters())
    assert float(parts.generator.fc.weight.grad.abs().sum()) > 0
    assert all(p.grad is None for p in (*parts.encoder.parameters(), *parts.perception.parameters()))


def test_an_anchor_may_let_go_of_the_perceptual_term(learnt: Parts) -> None:
    parts = learnt.copy()
    assert parts.settings.warm_start is not None
    real = parts.faces.batch(np.arange(8), torch.device("cpu"))
    parts.generator.eval()
    terms = {}
    for share in (0.0, 0.5, 1.0):
        torch.manual_seed(0)  # the perceptual distance crops at random
        anchor = Anchor(parts.encoder, parts.perception, parts.settings.warm_start, share)
        with torch.no_grad():
            terms[share] = float(anchor(parts.fabric, parts.generator, real))
            noise = parts.encoder(real.images, parts.generator.condition(real.gender.clamp(min=0), real.style))
            drawn = parts.generator(noise, real.gender.clamp(min=0), real.style)
    pixel = parts.settings.warm_start.pixel * float((drawn - real.images).abs().mean())
    assert terms[0.0] == pytest.approx(pixel, rel=0.02)  # the anchor computes in half precision where it can
    assert terms[0.5] - terms[0.0] == pytest.approx((terms[1.0] - terms[0.0]) / 2, rel=1e-3)
    assert terms[1.0] > terms[0.0]


def test_the_perceptual_distance(learnt: Parts) -> None:
    images = learnt.faces.batch(np.arange(4), torch.device("cpu")).images
    assert float(learnt.perception(images, images).abs().max()) == 0
    near, far = (images + 0.02).clamp(-1, 1), images.flip(0)
    assert float(learnt.perception(near, images).mean()) < float(learnt.perception(far, images).mean())
    assert learnt.perception(near, images).shape == (4,)


def test_a_diverging_warm_start_stops(fresh: Parts) -> None:
    parts = fresh.copy()
    wild = parts.settings.warm_start.model_copy(update={"learning_rate": 1e30})  # type: ignore[union-attr]
    with pytest.raises(DivergedError, match=r"warm_start\.learning_rate"):
        learn(parts, settings=wild)


def test_the_run_starts_from_it_and_does_it_once(
    sfn_workspace: Path, settings: GanSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(sfn_workspace))
    short = {**settings.model_dump(), "images": 8, "warm_start": {**WARM, "images": 32}}
    short["weights"] = {**short["weights"], "anchor": 1.0}
    assert train(space, GanSettings.model_validate(short), progress=False).finished
    folder = space.folder("gan")
    stamps = {name: (folder / name).stat().st_mtime_ns for name in ("warm_start.safetensors", "warm_start_encoder.safetensors")}
    assert (folder / "preview" / "warm_start.png").is_file()
    assert not (folder / "warm_start.checkpoint.pt").exists()
    warm = json.loads((folder / "warm_start" / "stats.jsonl").read_text().splitlines()[-1])
    assert warm["images"] == 32
    assert warm["time/hours"] * 3600 * warm["time/images_per_second"] == pytest.approx(32)
    terms = json.loads((folder / "stats.jsonl").read_text().splitlines()[-1])
    assert terms["G/anchor"] > 0
    longer = GanSettings.model_validate({**short, "images": 16})
    train(space, longer, progress=False)
    assert {name: (folder / name).stat().st_mtime_ns for name in stamps} == stamps
    other = GanSettings.model_validate({**short, "images": 24, "warm_start": {**WARM, "images": 48}})
    for accept in (False, True):
        with pytest.raises(ConfigError, match=r"warm_start\.images to be 32 .*found 48.*to start anew\.$"):
            train(space, other, accept_changes=accept, progress=False)
    assert {name: (folder / name).stat().st_mtime_ns for name in stamps} == stamps
    (folder / "warm_start_encoder.safetensors").unlink()
    with pytest.raises(WorkspaceError, match=r"warm_start_encoder\.safetensors.*to start anew"):
        train(space, longer, progress=False)
    (folder / "checkpoint.pt").unlink()
    prepare_warm_start(space, other, load_training_faces(space, other), launch(other.launch), progress=False)
    assert (folder / "warm_start.safetensors").stat().st_mtime_ns != stamps["warm_start.safetensors"]


def test_runs_may_begin_with_one_warm_start(
    sfn_workspace: Path, settings: GanSettings, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Its weights, none of its time; also where the labels are read otherwise, but not another generator's."""
    space = Workspace(copy_of(sfn_workspace))
    short = {**settings.model_dump(), "images": 8, "warm_start": {**WARM, "images": 32}}
    train(space, GanSettings.model_validate(short), progress=False)
    first = space.folder("gan").rename(tmp_path / "first")
    other = GanSettings.model_validate({**short, "seed": 7, "label_noise": "soft", "adversarial": "hinge"})
    result = train(space, other, progress=False, warm_start_from=first, stop_after=8, measure="images")
    folder = space.folder("gan")
    for name in ("warm_start.safetensors", "warm_start_encoder.safetensors"):
        assert (folder / name).read_bytes() == (first / name).read_bytes()
    assert not (folder / "warm_start").exists()
    assert warm_start_clock(first).totals()["cpu_seconds"] > 0
    assert warm_start_clock(folder).totals() == {"seconds": 0, "cpu_seconds": 0}
    assert result.images == 8
    assert train(space, GanSettings.model_validate({**other.model_dump(), "images": 16}), progress=False).finished
    for wrong, match in (
        ({"warm_start": {**WARM, "images": 40}}, "to have the settings .*'images': 40.*found .*'images': 32"),
        ({"generator": {"name": "srresnet", "arguments": {"channels": 24, "blocks": 1}}}, "to have the generator"),
    ):
        shutil.rmtree(folder, ignore_errors=True)
        with pytest.raises(WorkspaceError, match=match):
            train(space, GanSettings.model_validate({**short, **wrong}), progress=False, warm_start_from=first)
    with pytest.raises(WorkspaceError, match=r"finished warm start, found no .*warm_start\.json"):
        train(space, other, progress=False, warm_start_from=tmp_path)


def test_the_spectral_excess_takes_part(sfn_workspace: Path, settings: GanSettings, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(sfn_workspace))
    wanted = {**settings.model_dump(), "images": 8, "tick_images": 8, "warm_start": {**WARM, "images": 32, "perceptual": 0.0}}
    wanted["weights"] = {**wanted["weights"], "spectrum": 10.0}
    assert train(space, GanSettings.model_validate(wanted), progress=False).finished
    logs = (space.folder("gan") / name / "stats.jsonl" for name in ("warm_start", "."))
    warm, terms = (json.loads(path.read_text().splitlines()[-1]) for path in logs)
    assert terms["G/spectrum"] > 0
    assert "W/pixel" in warm
    assert "W/perceptual" not in warm  # what has no weight is not computed


def test_a_backbone_with_fewer_maps_is_refused(learnt: Parts) -> None:
    with pytest.raises(ConfigError, match=r"with 9 feature maps .*found \d\. Type: --set warm_start\.layers=\d"):
        Perception(learnt.perception.backbone, 9)


def test_a_finished_run_with_a_warm_start_goes_on_with_other_styles(
    sfn_workspace: Path, settings: GanSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(sfn_workspace))
    short = {**settings.model_dump(), "images": 8, "selection": 0.5, "warm_start": {**WARM, "images": 32}}
    assert train(space, GanSettings.model_validate(short), progress=False).finished
    styles = space.folder("sfn") / "styles.npz"
    with np.load(styles) as stored:
        arrays = {"face": stored["face"], "style": stored["style"][:, ::-1]}
    np.savez(styles, **arrays)
    space.finish("sfn", "done again", {})
    assert space.state("gan") == "stale"
    made = {path: path.stat().st_mtime_ns for path in space.folder("gan").rglob("*") if path.is_file()}
    for accept, error in ((False, WorkspaceError), (True, ConfigError)):
        with pytest.raises(error, match=r"sga train --accept-changes --set images=16 --workspace"):
            train(space, GanSettings.model_validate(short), accept_changes=accept, progress=False)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    longer = GanSettings.model_validate({**short, "images": 16})
    assert train(space, longer, accept_changes=True, progress=False).finished
    assert space.state("gan") == "done"
    assert all(path.stat().st_mtime_ns == made[path] for path in made if path.name.startswith("warm_start"))
    with np.load(space.folder("gan") / "selection.npz") as stored:  # the rows that the export takes styles of
        assert str(stored["faces"]) == load_training_faces(space, longer).fingerprint()
    assert train(space, longer, progress=False).finished


def test_a_checkpoint_of_other_faces_is_not_continued(fresh: Parts, tmp_path: Path) -> None:
    parts = fresh.copy()
    wanted = parts.settings.warm_start.model_copy(update={"images": 48, "checkpoint_seconds": 1e-9})  # type: ignore[union-attr]
    learn(parts, settings=wanted, checkpoint=tmp_path / "warm.pt")
    other, seen = fresh.copy(), []
    other.faces = fresh.faces.select(np.arange(40))
    learn(other, settings=wanted, checkpoint=tmp_path / "warm.pt", on_step=lambda images, values: seen.append(images))
    assert seen == [16, 32, 48]
