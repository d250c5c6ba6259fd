"""When trainings stop: signals, time, and what a stopped `fit` leaves behind."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from classifiers.data import Feed, Pictures, load_pixels, to_tensor
from classifiers.heads import Classifier
from classifiers.runtime import (
    LaunchSettings,
    Stopped,
    launch,
    load_checkpoint,
    seed_step,
    stop_after,
    stop_requests,
    time_is_up,
)
from classifiers.runtime.compiling import compile_networks, missing_to_compile
from classifiers.runtime.graphs import Kinds
from classifiers.train import FitData, FitSettings, attribute_weights, balancing, fit
from labeling.workspace import Workspace

SETTINGS = FitSettings(images=64, batch=16, checkpoint_seconds=1e9)


def test_time_ends_inside_the_block_alone() -> None:
    assert not time_is_up()
    with stop_after(0):
        assert time_is_up()
        with stop_after(3600):
            assert time_is_up()  # the nearer limit counts
    with stop_after(None), stop_after(3600):
        assert not time_is_up()
        with stop_after(60, begun=-1e9):
            assert time_is_up()
    assert not time_is_up()


def test_the_shortest_time_lets_one_step_pass() -> None:
    with stop_after(0), stop_requests() as asked:
        assert [asked() for _ in range(3)] == [False, True, True]
    with stop_requests() as asked:
        assert [asked() for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request_and_the_second_one_an_order(number: signal.Signals) -> None:
    def order(*_: object) -> None:
        raise RuntimeError("now")

    before = signal.signal(number, order)
    try:
        with stop_requests() as asked:
            os.kill(os.getpid(), number)
            assert asked()
            with pytest.raises(RuntimeError, match="now"):
                os.kill(os.getpid(), number)
        assert signal.getsignal(number) is order
    finally:
        signal.signal(number, before)


@pytest.fixture(scope="module")
def data(faces_workspace: Path) -> FitData:
    table = Workspace(faces_workspace).table()
    codes = {"gender": table.codes("gender")}
    weights = {"gender": attribute_weights(table, "gender", 0.2)}
    rows = np.flatnonzero(table.in_split("train"))
    pixels = load_pixels(Workspace(faces_workspace), table)
    return FitData.drawing(pixels, rows, codes, weights, balancing(codes, weights, rows, 0.5))


def test_a_fit_in_slices_is_the_fit_in_one(faces_workspace: Path, data: FitData, tmp_path: Path) -> None:
    schema = Workspace(faces_workspace).table().schema
    fabric = launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))

    def train(checkpoint: Path | None) -> dict[str, torch.Tensor]:
        seed_step(7, -1)
        network = Classifier.build(schema, "resnet10t", dropout=0.2, channels=[8, 16, 16, 32])
        return fit(network, schema, data, SETTINGS, fabric, seed=3, checkpoint=checkpoint).state_dict()

    whole, path, seen = train(None), tmp_path / "run.pt", []
    while True:
        try:
            with stop_after(0):
                sliced = train(path)
            break
        except Stopped:
            seen.append(load_checkpoint(path)["seen"])  # type: ignore[index]
    assert seen == [16, 32, 48]  # a step each; the last one ends it
    assert all(torch.equal(value, sliced[name]) for name, value in whole.items())


def test_pictures_kept_on_a_device_are_those_of_the_memory_map(data: FitData) -> None:
    device, rows = torch.device("cpu"), np.array([5, 0, 5, 11])
    for pixels in (data.pixels, Pictures(data.pixels, rows=np.arange(3, 40))):
        mapped, kept = (Feed(pixels, device, resident=resident) for resident in (False, True))
        assert (mapped.resident, kept.resident) == (False, True)
        assert torch.equal(mapped(rows), kept(rows))
        assert torch.equal(kept(rows), to_tensor(pixels[rows]))
        assert kept(rows).is_contiguous(memory_format=torch.channels_last)
    assert not Feed(data.pixels, device).resident  # a memory map is near enough to a CPU


def test_a_kind_of_step_is_recorded_once_it_has_come_back_often() -> None:
    kinds = Kinds()
    assert [kinds.warm("penalty") for _ in range(5)] == [False, False, False, True, True]
    assert not any(kinds.warm(f"strength {number}") for number in range(50))  # another in every step
    assert [kinds.warm("plain") for _ in range(4)] == [False, False, False, True]


def test_without_a_compiler_nothing_is_compiled_and_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    network, said = torch.nn.Linear(2, 2), []
    assert not compile_networks([network], torch.device("cpu"), said.append)
    assert said == ["launch.compile is off: torch.compile needs a C++ compiler (g++ or clang++) and finds none here."]
    assert network._compiled_call_impl is None
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    assert missing_to_compile(torch.device("cpu")) is None
