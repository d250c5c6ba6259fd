"""Backbones by timm's names."""

import re
import subprocess
import sys
import textwrap

import pytest
import torch

from classifiers.backbones import build_backbone
from configs.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "arguments", "width"),
    [
        ("resnet10t", {}, 512),
        ("densenet121", {"growth_rate": 8, "block_config": [2, 2, 2, 2]}, None),
        ("legacy_seresnet18", {}, 512),
    ],
)
def test_the_families_of_the_smoke_preset(name: str, arguments: dict[str, object], width: int | None) -> None:
    backbone = build_backbone(name, **arguments).eval()
    with torch.no_grad():
        features = backbone(torch.zeros(2, 3, 64, 64))
    assert features.shape == (2, width or backbone.width)


def test_inputs_are_normalised_as_timm_means_it() -> None:
    backbone = build_backbone("resnet10t", channels=[8, 8, 8, 8]).eval()
    picture = torch.rand(1, 3, 32, 32)
    mean = torch.tensor(backbone.network.pretrained_cfg["mean"]).view(1, 3, 1, 1)
    std = torch.tensor(backbone.network.pretrained_cfg["std"]).view(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(backbone(picture * 2 - 1), backbone.network((picture - mean) / std), atol=1e-4, rtol=1e-4)


def test_an_unknown_name_tells_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'resnet19'.*resnet1[08]"):
        build_backbone("resnet19")


def test_arguments_that_the_network_does_not_take() -> None:
    with pytest.raises(ConfigError, match="grow_rate"):
        build_backbone("densenet121", grow_rate=8)


def test_pretrained_weights_without_a_network_fail_at_once_and_clearly() -> None:
    script = """
        import socket, time
        tries, slept = [], []
        def refuse(*args, **kwargs):
            tries.append(args)
            raise OSError("Network is unreachable")
        time.sleep = slept.append
        socket.socket.connect = refuse
        socket.create_connection = refuse
        socket.getaddrinfo = refuse
        from classifiers.backbones import build_backbone
        from configs.errors import InputError
        try:
            build_backbone("resnet18", pretrained=True)
        except InputError as error:
            print(error)
        print(len(tries), "tries,", sum(slept), "seconds")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=300, check=True
    )
    tries, slept = (int(float(word)) for word in re.findall(r"(\S+) (?:tries|seconds)", done.stdout))
    assert 1 <= tries <= 3  # the hub's own client tries 15 times, and waits 46 s between them
    assert slept == 0
    assert "pretrained=false" in done.stdout
    assert "resnet18" in done.stdout
