"""Data order, checkpoints and the run log: what makes the same command continue the same run."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.runtime import (
    LaunchSettings,
    RunLog,
    autocast_precision,
    batch_rows,
    launch,
    load_checkpoint,
    save_checkpoint,
    seed_step,
    weighted_rows,
)
from configs.errors import ConfigError, WorkspaceError


@pytest.mark.parametrize(("rows", "batch"), [(10, 4), (7, 7), (3, 8), (64, 5)])
def test_every_row_once_an_epoch(rows: int, batch: int) -> None:
    order = np.concatenate([batch_rows(rows, 0, seen, batch) for seen in range(0, 4 * rows * batch, batch)])
    epochs = order.reshape(-1, rows)
    assert all(sorted(epoch) == list(range(rows)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 1


def test_the_order_is_a_function_of_the_position() -> None:
    whole = batch_rows(11, 3, 0, 60)
    for start in (0, 1, 10, 11, 37):
        assert batch_rows(11, 3, start, 20).tolist() == whole[start : start + 20].tolist()
    assert batch_rows(11, 4, 0, 60).tolist() != whole.tolist()


def test_weighted_rows_come_in_proportion() -> None:
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    drawn = np.concatenate([weighted_rows(np.cumsum(weights), 0, seen, 50) for seen in range(0, 20_000, 50)])
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / len(drawn), weights / 10, atol=0.015)
    assert not (drawn == 1).any()
    assert weighted_rows(np.cumsum(weights), 0, 100, 50).tolist() == weighted_rows(np.cumsum(weights), 0, 100, 50).tolist()


def test_seed_step_makes_noise_a_function_of_the_position() -> None:
    def noise(*position: int) -> list[float]:
        seed_step(*position)
        return torch.rand(4).tolist()

    assert noise(1, 640, 0) == noise(1, 640, 0)
    assert len({tuple(noise(*position)) for position in [(1, 640, 0), (2, 640, 0), (1, 704, 0), (1, 640, 1), (16, 40, 0)]}) == 5


def state() -> dict[str, Any]:
    layer = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return {
        "network": layer.state_dict(),
        "optimiser": optimiser.state_dict(),
        "seen": 640,
        "note": "x",
        "list": [1, 2.5, None],
    }


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    wrote = state()
    save_checkpoint(tmp_path / "deep" / "run.pt", wrote)
    read = load_checkpoint(tmp_path / "deep" / "run.pt")
    assert read is not None
    assert torch.equal(read["network"]["weight"], wrote["network"]["weight"])
    assert torch.equal(read["optimiser"]["state"][0]["exp_avg"], wrote["optimiser"]["state"][0]["exp_avg"])
    assert (read["seen"], read["note"], read["list"]) == (640, "x", [1, 2.5, None])
    assert load_checkpoint(tmp_path / "absent.pt") is None


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "zeros"])
def test_a_damaged_checkpoint_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    save_checkpoint(path, state())
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello", "zeros": bytes(4096)}[damage])
    with pytest.raises(WorkspaceError, match=r"run\.pt.*Remove it"):
        load_checkpoint(path)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("unpickled",)


def test_a_pickled_object_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state": Evil()}, tmp_path / "torch.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"state": Evil()}))
    for name in ("torch.pt", "plain.pt"):
        with pytest.raises(WorkspaceError):
            load_checkpoint(tmp_path / name)
    assert "unpickled" not in capsys.readouterr().out
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WorkspaceError, match="found a list"):
        load_checkpoint(tmp_path / "list.pt")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]


def test_ticks_behind_the_resume_point_are_cut(tmp_path: Path) -> None:
    with RunLog(tmp_path, seen=-1, tensorboard=False) as log:
        for images in (100, 200, 300):
            log.tick(images, {"D/penalty": images / 2, "bad": math.nan})
    with (tmp_path / "stats.jsonl").open("a") as handle:
        handle.write('{"images": 400, "D/pen')  # killed while it wrote
    with RunLog(tmp_path, seen=200, tensorboard=False) as log:
        log.tick(250, {"D/penalty": 1.0})
    assert [line["images"] for line in lines(tmp_path)] == [100, 200, 250]
    assert lines(tmp_path)[0] == {"images": 100, "D/penalty": 50.0, "bad": None}


def test_a_new_run_forgets_the_old_one(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLog(tmp_path, seen=-1) as log:
            log.tick(10, {"loss": 1.0})
    assert len(lines(tmp_path)) == 1
    assert any((tmp_path / "tensorboard").iterdir())


def test_precision_and_device_by_name() -> None:
    assert autocast_precision(LaunchSettings(precision="32"), "cpu") == "32-true"
    assert autocast_precision(LaunchSettings.model_validate({"precision": 32}), "cpu") == "32-true"
    assert autocast_precision(LaunchSettings(precision="bf16"), "cpu") == "bf16-mixed"
    fabric = launch(LaunchSettings(accelerator="cpu", precision="32"))
    assert (fabric.device.type, fabric.world_size) == ("cpu", 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"launch\.accelerator=cpu"):
        launch(LaunchSettings(accelerator="gpu"))
