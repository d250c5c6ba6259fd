"""Tags as the condition (Jin et al. 2017): vectors, their weights, their loss, their priors, and what refuses them."""

import dataclasses
import itertools
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.runtime import launch
from configs.errors import ConfigError, InputError, WorkspaceError
from labeling.provenance import Source
from labeling.schema import Attribute, Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint
from sga.condition import ConditionPrior, uniform_tags
from sga.losses import tag_loss
from sga.tags import tag_columns, tag_count, tag_names, tag_vectors
from sga.training import GanSettings, TrainingFaces, load_training_faces, train
from sga.training.preview import fixed_conditions
from sga.training.warm_start import prepare_warm_start

CPU = torch.device("cpu")
SCHEMA = Schema(
    name="small",
    attributes=(
        Attribute(name="gender", kind="exclusive", role="gender", values=("female", "male")),
        Attribute(name="smile", kind="independent", role="style"),
        Attribute(name="eyes", kind="exclusive", role="style", values=("red", "green", "blue")),
        Attribute(name="quality", kind="ordinal", role="quality", values=("low", "high")),
    ),
)
TAGS = ("style_source=tags", "style_size=4", "style_jitter=0", "style_prior=empirical")
gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))


def table(smile: list[int], eyes: list[int], source: Source = Source.ORIGINAL) -> LabelTable:
    """One face a code, those of -1 unlabelled."""
    names = [f"{number:064x}" for number in range(len(smile))]
    made = LabelTable.empty(SCHEMA, names, names, ["train"] * len(names), names)
    for name, codes in (("smile", smile), ("eyes", eyes)):
        rows = np.flatnonzero(np.array(codes) >= 0)
        made.fill(name, rows, np.array(codes)[rows], source)
    return made


def some_faces(count: int = 20) -> TrainingFaces:
    """Those of `gan_run.py` with tags: eyes as bright as the hair, smiles at every third, the tags of every fifth unknown."""
    faces = gan["draw_faces"](count)
    number = np.arange(count)
    smile = np.where(number % 5 == 4, -1, number % 3 == 0).astype(int)
    labels = table(smile.tolist(), np.digitize(faces.style[:, 3], (-0.1, 0.1)).tolist())
    style, weight = tag_vectors(labels, 0.2)
    return dataclasses.replace(faces, style=style, style_weight=weight, schema=SCHEMA)


# -- vectors -------------------------------------------------------------------------------------------------------------------


def test_tags_stand_in_the_order_of_the_schema() -> None:
    assert tag_columns(SCHEMA) == {"smile": slice(0, 1), "eyes": slice(1, 4)}
    assert tag_names(SCHEMA) == ["smile", "eyes=red", "eyes=green", "eyes=blue"]
    whole = Schema.load("moe34")
    names = tag_names(whole)
    assert tag_count(whole) == len(names) == 34
    # Jin et al., Table 1: hair colour, hair style, what is on the face, eye colour.
    assert (names[0], names[12], names[13], names[23], names[24], names[33]) == (
        *("hair_color=blonde", "hair_color=gray", "long_hair", "glasses"),
        *("eye_color=blue", "eye_color=orange"),
    )


def test_tag_vectors_say_what_the_label_table_says() -> None:
    tags, weight = tag_vectors(table([0, 1, -1], [2, -1, 0]), 0.2)
    assert tags.tolist() == [[-1, -1, -1, 1], [1, 0, 0, 0], [0, 1, -1, -1]]
    assert weight.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 1, 1]]
    assert (tags.dtype, weight.dtype) == (np.float32, np.float32)
    again, completed = tag_vectors(table([0, 1, -1], [2, -1, 0], Source.COMPLETED), 0.25)
    assert np.array_equal(again, tags)
    assert completed.tolist() == (weight * 0.25).tolist()


# -- loss ----------------------------------------------------------------------------------------------------------------------


def softplus(x: float) -> float:
    return float(np.log1p(np.exp(x)))


def test_tag_loss_against_numbers() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.0], [1.0, 3.0, -2.0]], requires_grad=True)
    tags = torch.tensor([[1.0, 1.0, -1.0], [0.0, -1.0, -1.0]])
    weight = torch.tensor([[1.0, 0.2, 1.0], [0.0, 1.0, 0.5]])
    # -log σ(logit) = softplus(-logit) where a tag is on, softplus(logit) where it is off; sum over tags, mean over faces.
    first = softplus(-2) + 0.2 * softplus(1) + softplus(0)
    second = softplus(3) + 0.5 * softplus(-2)
    loss = tag_loss(logits, tags, weight)
    loss.backward()
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)
    sigmoid = 1 / (1 + np.exp(2.0))
    assert logits.grad is not None
    assert logits.grad[0, 0].item() == pytest.approx(-sigmoid / 2, rel=1e-5)
    assert logits.grad[1, 0].item() == 0  # nothing is known of it
    whole = tag_loss(logits[:1], tags[:1])
    assert whole.item() == pytest.approx(softplus(-2) + softplus(1) + softplus(0), rel=1e-6)


def test_tag_loss_of_unknown_tags_is_zero() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    loss = tag_loss(logits, torch.zeros(3, 4), torch.zeros(3, 4))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


# -- priors --------------------------------------------------------------------------------------------------------------------


def test_uniform_tags_have_the_frequencies_of_the_paper() -> None:
    torch.manual_seed(0)
    tags = uniform_tags(20_000, 34, (slice(0, 13), slice(24, 34)))
    assert set(tags.unique().tolist()) == {-1.0, 1.0}
    on = (tags > 0).float()
    assert (on[:, :13].sum(1) == 1).all()
    assert (on[:, 24:].sum(1) == 1).all()
    wanted = np.repeat([1 / 13, 0.25, 1 / 10], [13, 11, 10])
    np.testing.assert_allclose(on.mean(0).numpy(), wanted, atol=5 * np.sqrt(0.25 * 0.75 / 20_000))
    pairs = np.corrcoef(on[:, 13:24].T.numpy())  # each on its own
    assert np.abs(pairs - np.eye(11)).max() < 5 / np.sqrt(20_000)


def test_a_prior_of_uniform_tags_reads_the_schema() -> None:
    prior = ConditionPrior.from_faces(gan["settings"](*TAGS, "style_prior=uniform_tags"), some_faces(), CPU)
    torch.manual_seed(0)
    drawn = prior.draw(2000)
    assert drawn.style is not None
    on = (drawn.style > 0).float()
    assert (on[:, 1:].sum(1) == 1).all()
    np.testing.assert_allclose(on.mean(0).numpy(), [0.25, 1 / 3, 1 / 3, 1 / 3], atol=0.05)
    torch.manual_seed(0)
    assert torch.equal(prior.draw(2000).style, drawn.style)


def test_empirical_tags_are_those_of_a_real_face_of_the_gender() -> None:
    faces = some_faces(30)
    prior = ConditionPrior.from_faces(gan["settings"](*TAGS), faces, CPU)
    torch.manual_seed(0)
    drawn = prior.draw(400)
    assert drawn.style is not None
    assert set(drawn.style.unique().tolist()) == {-1.0, 1.0}  # a face that lacks a tag is no condition
    for gender in (0, 1):
        wanted = faces.style[(faces.gender == gender) & (faces.style != 0).all(axis=1)]
        found = drawn.style[drawn.gender == gender].numpy()
        assert {tuple(row) for row in found} == {tuple(row) for row in wanted}
    lacking = dataclasses.replace(faces, style=faces.style * (faces.gender != 1)[:, None])
    with pytest.raises(InputError, match=r"with all tags.*found \d+ and 0.*style_prior=uniform_tags"):
        ConditionPrior.from_faces(gan["settings"](*TAGS), lacking, CPU)


@pytest.mark.parametrize("prior", ["uniform_tags", "empirical"])
def test_preview_conditions_are_tags(prior: str, tmp_path: Path) -> None:
    settings = gan["settings"](*TAGS, f"style_prior={prior}")
    shown = fixed_conditions(tmp_path, settings, ConditionPrior.from_faces(settings, some_faces(), CPU), write=True)
    assert shown.style is not None
    assert set(shown.style.unique().tolist()) == {-1.0, 1.0}
    assert ((shown.style[:, 1:] > 0).sum(1) == 1).all()
    pairs = shown.style.view(3, 2, 3, -1)
    assert torch.equal(pairs[:, 0], pairs[:, 1]) is (prior == "uniform_tags")  # those of real faces belong to their gender
    assert torch.equal(fixed_conditions(tmp_path, settings, None, write=False).style, shown.style)  # type: ignore[arg-type]


# -- settings and faces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((*TAGS, "style_prior=truncated_normal"), "needs style_prior uniform_tags or empirical"),
        ((*TAGS, "style_jitter=0.1"), "needs style_jitter 0"),
        ((*TAGS, "style_size=0", "weights.style=0"), "needs style_size"),
        (("style_prior=uniform_tags",), "needs style_source tags"),
        (("style_source=tag",), "style_source"),
    ],
)
def test_contradictions_are_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gan["settings"](*overrides)


def labelled(sfn_workspace: Path, tiny_settings: dict[str, dict[str, Any]], **changes: Any) -> tuple[Workspace, GanSettings]:
    """Sample faces of gender, hair colour (13 values) and smile: 14 tags."""
    tags = {"style_source": "tags", "style_size": 14, "style_jitter": 0.0}
    return Workspace(sfn_workspace), GanSettings.model_validate({**tiny_settings["gan"], **tags, **changes})


def test_training_faces_have_the_tags_of_the_table(sfn_workspace: Path, tiny_settings: dict[str, dict[str, Any]]) -> None:
    space, settings = labelled(sfn_workspace, tiny_settings)
    faces = load_training_faces(space, settings)
    whole = space.table()
    kept = whole.select(~whole.in_split("test"))
    tags, weight = tag_vectors(kept, settings.completed_weight)
    assert np.array_equal(faces.style, tags)
    assert faces.style_weight is not None
    assert np.array_equal(faces.style_weight, weight)
    assert np.unique(weight).tolist() == pytest.approx([0.2, 1.0])  # completed and original labels
    one = int(np.flatnonzero(kept.codes("hair_color") == 3)[0])
    assert faces.style[one, :13].tolist() == [-1, -1, -1, 1, *[-1] * 9]
    rows = np.array([5, 3, 9])
    batch = faces.batch(rows, CPU)
    assert batch.style_weight is not None
    assert batch.style_weight.tolist() == faces.style_weight[np.sort(rows)].tolist()  # a batch has no order
    part = faces.select(rows)
    assert part.style_weight is not None
    assert np.array_equal(part.style_weight, faces.style_weight[rows])
    other = load_training_faces(space, settings.model_copy(update={"completed_weight": 0.5}))
    assert other.fingerprint() != faces.fingerprint()


def test_features_are_named_as_before_there_were_tags(sfn_workspace: Path, tiny_settings: dict[str, dict[str, Any]]) -> None:
    """The fingerprint is in the checkpoints of older runs, which go on."""
    faces = load_training_faces(Workspace(sfn_workspace), GanSettings.model_validate(tiny_settings["gan"]))
    assert faces.style_weight is None
    assert faces.batch(np.arange(3), CPU).style_weight is None
    labels = (part.tobytes().hex() for part in (faces.gender, faces.gender_weight, faces.style))
    assert faces.fingerprint() == fingerprint(faces.images.shape, *labels)


def test_faces_without_fitting_tags_are_explained(
    sfn_workspace: Path, tiny_settings: dict[str, dict[str, Any]], copy_of: Callable[[Path], Path]
) -> None:
    space, settings = labelled(sfn_workspace, tiny_settings)
    with pytest.raises(WorkspaceError, match=r"of schema tiny, 14, found 34.*--set style_size=14"):
        load_training_faces(space, settings.model_copy(update={"style_size": 34}))
    spoilt = Workspace(copy_of(sfn_workspace))
    labels = spoilt.table()
    labels.clear("smile", np.arange(len(labels)))
    labels.save(spoilt.labels_path)
    with pytest.raises(InputError, match=r"every tag is known.*nothing is known of smile.*sga complete"):
        load_training_faces(spoilt, settings)
    gender = Schema(name="bare", attributes=SCHEMA.with_role("gender"))
    LabelTable(gender, labels.frame).save(spoilt.labels_path)
    with pytest.raises(ConfigError, match=r"role style in schema bare.*moe34"):
        load_training_faces(spoilt, settings)


# -- training ------------------------------------------------------------------------------------------------------------------


def run(root: Path, *overrides: str, images: int = 24) -> dict[str, Any]:
    settings = gan["settings"](*TAGS, f"images={images}", "classify_fakes=true", *overrides)
    train(Workspace(root), settings, some_faces(), progress=False)
    stored: dict[str, Any] = torch.load(root / "gan" / "checkpoint.pt", weights_only=True)
    return stored


def same(left: Any, right: Any) -> bool:
    """Equal bit for bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(itertools.starmap(same, zip(left, right, strict=True)))
    return bool(torch.equal(left, right)) if isinstance(left, torch.Tensor) else bool(left == right)


@pytest.mark.parametrize("prior", ["uniform_tags", "empirical"])
def test_a_run_on_tags_goes_on_exactly(prior: str, tmp_path: Path) -> None:
    wanted = f"style_prior={prior}"
    whole = run(tmp_path / "whole", wanted)
    run(tmp_path / "broken", wanted, images=12)
    again = run(tmp_path / "broken", wanted)
    for part in ("generator", "discriminator", "average", "generator_optimiser", "discriminator_optimiser", "tally"):
        assert same(whole[part], again[part]), part
    other = run(tmp_path / "other", f"style_prior={'empirical' if prior == 'uniform_tags' else 'uniform_tags'}")
    assert not same(whole["generator"], other["generator"])


def test_tags_are_measured_by_their_own_loss(tmp_path: Path) -> None:
    """Logits of fresh weights are near 0, which costs log 2 for each known tag; as features they would cost 1."""
    run(tmp_path, "batch=20", "tick_images=20", "balance_gender=0", images=20)  # every face once
    told = json.loads((tmp_path / "gan" / "stats.jsonl").read_text().splitlines()[0])
    known = some_faces().style_weight
    assert known is not None
    assert told["images"] == 20
    assert told["D/style"] == pytest.approx(np.log(2) * known.sum(1).mean(), rel=0.05)
    assert told["D/fake_style"] == pytest.approx(4 * np.log(2), rel=0.05)
    assert told["G/style"] == pytest.approx(4 * np.log(2), rel=0.05)


def test_other_kinds_of_style_are_another_run(tmp_path: Path) -> None:
    run(tmp_path, images=4)
    settings = gan["settings"](*TAGS, "style_source=features", "classify_fakes=true", "images=8")
    with pytest.raises(ConfigError, match=r"Expected style_source to be tags.*found features.*to start anew\.$"):
        train(Workspace(tmp_path), settings, some_faces(), accept_changes=True, progress=False)


def test_a_run_of_an_older_version_goes_on(tmp_path: Path) -> None:
    """Its checkpoint knows no style_source."""
    faces, overrides = gan["draw_faces"](), ("images=8", "style_prior=empirical")
    for root in (tmp_path / "old", tmp_path / "new"):
        train(Workspace(root), gan["settings"](*overrides), faces, progress=False)
    path = tmp_path / "old" / "gan" / "checkpoint.pt"
    stored = torch.load(path, weights_only=True)
    del stored["settings"]["style_source"]
    torch.save(stored, path)
    ends = []
    for root in (tmp_path / "old", tmp_path / "new"):
        assert train(Workspace(root), gan["settings"](*overrides, "images=16"), faces, progress=False).images == 16
        ends.append(torch.load(root / "gan" / "checkpoint.pt", weights_only=True))
    assert same(ends[0]["generator"], ends[1]["generator"])
    settings = ends[0]["settings"]
    assert settings["style_source"] == "features"


@pytest.mark.parametrize("generator", ["srresnet", "dcgan"])
def test_a_decoder_of_tags_is_warm_started(
    generator: str, sfn_workspace: Path, tiny_settings: dict[str, dict[str, Any]], copy_of: Callable[[Path], Path]
) -> None:
    space, settings = labelled(
        copy_of(sfn_workspace),
        tiny_settings,
        warm_start={"images": 64, "batch": 16, "channels": 8, "layers": 1},
        weights={"anchor": 1.0},
        style_prior="uniform_tags",
        images=8,
    )
    if generator == "dcgan":
        network = {"name": "dcgan", "arguments": {"widths": [16, 8, 8]}}
        settings = GanSettings.model_validate({**settings.model_dump(), "generator": network})
    assert train(space, settings, progress=False).finished
    assert (space.folder("gan") / "warm_start.safetensors").is_file()
    faces, fabric = load_training_faces(space, settings), launch(settings.launch)
    anchor = prepare_warm_start(space, settings, faces, fabric, progress=False)
    assert anchor.encoder.slope.shape == (settings.noise_size, 1 + 14)
