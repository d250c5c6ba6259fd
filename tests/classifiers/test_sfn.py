"""The style feature network (SGA-GAN 2.2)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from classifiers.data import load_pixels
from classifiers.report import Table
from classifiers.sfn import (
    SfnSettings,
    StyleFeatureNetwork,
    adjust_logits,
    fit_data,
    load_sfn,
    save_sfn,
    train_sfn,
)
from classifiers.train import attribute_weights, strongest
from configs.errors import InputError, WorkspaceError
from configs.files import hold
from labeling.provenance import Source
from labeling.workspace import Workspace


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, dict[str, Any]]) -> SfnSettings:
    return SfnSettings.model_validate(tiny_settings["sfn"])


def test_the_architecture_is_the_papers(faces_workspace: Path, settings: SfnSettings) -> None:
    schema = Workspace(faces_workspace).table().schema
    network = StyleFeatureNetwork.build(schema, settings).eval()
    assert (network.hidden.in_features, network.hidden.out_features) == (network.backbone.width, 512)
    assert (network.feature.in_features, network.feature.out_features) == (512, 30)
    assert (network.heads.in_features, network.heads.out_features) == (30, schema.logit_width)
    assert isinstance(network.heads, nn.Linear)
    images = torch.rand(6, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        feature = network.features(images)
        hidden = network.hidden(network.backbone(images)).relu()
        torch.testing.assert_close(feature, network.feature(hidden))
        torch.testing.assert_close(network(images), network.heads(feature))
        logits, style = network.judge(images)
    assert (logits.shape, style.shape) == ((6, schema.logit_width), (6, 30))
    assert float(feature.min()) < 0 < float(feature.max())  # signed


def test_completed_labels_weigh_a_fifth(ensemble_workspace: Path) -> None:
    space = Workspace(ensemble_workspace)
    table = space.table()
    data = fit_data(table, load_pixels(space, table), 0.5, SfnSettings().completed_weight)
    original = {name: attribute_weights(table, name, 0.2) for name in ("gender", "hair_color", "smile")}
    for name in original:
        completed = table.sources(name) == Source.COMPLETED
        weighs = data.weights[name][data.rows] * strongest(original, data.rows)
        assert weighs[completed[data.rows]].tolist() == pytest.approx([0.2] * int(completed[data.rows].sum()))
        assert (weighs[table.labelled(name)[data.rows]] == 1).all()
    assert data.rows.tolist() == np.flatnonzero(~table.in_split("test")).tolist()
    assert "quality" not in data.codes


def test_styles_are_standardised_on_the_training_faces(sfn_workspace: Path) -> None:
    table = Workspace(sfn_workspace).table()
    with np.load(sfn_workspace / "sfn" / "styles.npz", allow_pickle=False) as stored:
        faces, style = stored["face"], stored["style"]
    assert faces.tolist() == table.faces.tolist()
    assert (style.dtype, style.shape) == (np.float32, (len(table), 30))
    trained = style[~table.in_split("test")]
    np.testing.assert_allclose(trained.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(trained.std(axis=0), 0.53956, atol=1e-3)  # a standard normal truncated to [-1, 1]
    network, _, _ = load_sfn(sfn_workspace / "sfn" / "network.safetensors")
    pixels = torch.from_numpy(np.array(load_pixels(Workspace(sfn_workspace), table)[:4]))
    images = pixels.permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        both = (network.judge(images)[1] + network.judge(images.flip(3))[1]) / 2
    np.testing.assert_allclose(both.numpy(), style[:4], atol=2e-3)


def test_two_trainings_at_once_are_refused(sfn_workspace: Path, settings: SfnSettings, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(sfn_workspace))
    record = space.record("sfn")
    with hold(space.folder("sfn") / ".lock"), pytest.raises(InputError, match="found another sga sfn"):
        train_sfn(space, settings, progress=False)
    assert space.record("sfn") == record


def test_the_table_ends_with_the_sfn(sfn_workspace: Path) -> None:
    table = Workspace(sfn_workspace).table()
    read = Table.load(sfn_workspace / "sfn" / "table1.json")
    assert list(read.cells) == ["gender", "hair_color", "smile"]
    for name, rows in read.cells.items():
        assert list(rows) == ["resnet", "densenet", "ensemble", "SFN"]
        assert rows["SFN"]["accuracy"].n == int((table.labelled(name) & table.in_split("test")).sum())
    assert "| SFN |" in (sfn_workspace / "sfn" / "table1.md").read_text()


def test_it_learnt_gender(sfn_workspace: Path) -> None:
    """On faces it was trained on: sample faces of another gender look different, and a small network sees that."""
    space = Workspace(sfn_workspace)
    table = space.table()
    network, schema, _ = load_sfn(sfn_workspace / "sfn" / "network.safetensors")
    known = np.flatnonzero(table.labelled("gender") & ~table.in_split("test"))
    images = torch.from_numpy(np.array(load_pixels(space, table))[known]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        said = network(images)[:, schema.logit_slices["gender"]].argmax(dim=1).numpy()
    codes = table.codes("gender")[known]
    assert np.mean([(said == codes)[codes == code].mean() for code in (0, 1)]) > 0.6


def test_file_round_trip(faces_workspace: Path, settings: SfnSettings, tmp_path: Path) -> None:
    schema = Workspace(faces_workspace).table().schema
    network = StyleFeatureNetwork.build(schema, settings)
    network.mean.fill_(0.25)
    save_sfn(tmp_path / "network.safetensors", network, schema, settings)
    read, read_schema, read_settings = load_sfn(tmp_path / "network.safetensors")
    assert (read_schema, read_settings, read.training) == (schema, settings, False)
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in network.state_dict().items())
    written = {(tmp_path / "network.safetensors").read_bytes()}
    for _ in range(20):  # the same network is the same file: later stages know it by its bytes
        save_sfn(tmp_path / "again.safetensors", network, schema, settings)
        written.add((tmp_path / "again.safetensors").read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize("damage", ["absent", "cut", "text", "other"])
def test_a_file_that_cannot_be_read_says_what_to_type(damage: str, sfn_workspace: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "network.safetensors"
    whole = (sfn_workspace / "sfn" / "network.safetensors").read_bytes()
    if damage == "other":
        save_file({"weight": torch.zeros(3)}, path)
    elif damage != "absent":
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"hello")
    with pytest.raises(WorkspaceError, match="sga sfn"):
        load_sfn(path)


def test_it_needs_the_ensemble(faces_workspace: Path, settings: SfnSettings) -> None:
    with pytest.raises(WorkspaceError, match="sga complete"):
        train_sfn(Workspace(faces_workspace), settings, progress=False)


def test_an_interrupted_training_ends_in_the_same_network(
    sfn_workspace: Path, settings: SfnSettings, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import classifiers.sfn as module

    space = Workspace(copy_of(sfn_workspace))
    whole = (space.folder("sfn") / "network.safetensors").read_bytes()
    wanted = settings.model_copy(update={"fit": settings.fit.model_copy(update={"checkpoint_seconds": 1e-9})})
    real, steps = module.fit, []

    def killed(*arguments: Any, on_step: Callable[[int, dict[str, float]], None], **named: Any) -> Any:
        def step(seen: int, values: dict[str, float]) -> None:
            steps.append(seen)
            on_step(seen, values)
            if len(steps) == 30:
                raise KeyboardInterrupt

        return real(*arguments, on_step=step, **named)

    monkeypatch.setattr(module, "fit", killed)
    assert train_sfn(space, wanted, progress=False).held_out.cells
    assert steps == []  # done from the same labels: nothing to train
    (space.folder("sfn") / "stage.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        train_sfn(space, wanted, progress=False)
    train_sfn(space, wanted, progress=False)
    assert steps[30] == steps[29]  # the last step's checkpoint was not written yet
    network, _, _ = load_sfn(space.folder("sfn") / "network.safetensors")
    before, _, _ = load_sfn(sfn_workspace / "sfn" / "network.safetensors")
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.state_dict().items())
    assert len(whole) > 0
    assert not (space.folder("sfn") / "checkpoint.pt").exists()
    images = [int(line.split(":")[1].split(",")[0]) for line in (space.folder("sfn") / "stats.jsonl").read_text().splitlines()]
    assert images == list(range(320, 769, 320))  # ticks of both parts, once each


def test_aiming_can_be_undone_and_leaves_unseen_values_alone(sfn_workspace: Path, settings: SfnSettings) -> None:
    space = Workspace(sfn_workspace)
    table = space.table()
    first = table.codes("hair_color") == 0
    for column, value in (("hair_color", None), ("hair_color_confidence", np.nan), ("hair_color_source", 0)):
        table.frame.loc[first, column] = value
    data = fit_data(table, load_pixels(space, table), 0.5, 0.2)
    network = StyleFeatureNetwork.build(table.schema, settings)
    before = network.heads.bias.detach().clone()
    adjust_logits(network, table, data)
    aimed = network.heads.bias.detach().clone()
    hair = table.schema.logit_slices["hair_color"]
    assert aimed[hair][0] == before[hair][0]  # nobody labelled blonde: no correction may make it win
    assert float((aimed - before).abs().max()) < 5
    assert not torch.equal(aimed[table.schema.logit_slices["gender"]], before[table.schema.logit_slices["gender"]])
    adjust_logits(network, table, data, undo=True)
    torch.testing.assert_close(network.heads.bias.detach(), before)
