import itertools
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

from configs.errors import ConfigError
from labeling.workspace import Workspace
from sga.models import make_network, network_names, srresnet, srresnet_discriminator
from sga.models.blocks import minibatch_deviation
from sga.training import load_generator, train

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))
SMALL = {"channels": 8, "blocks": 2, "up_channels": (8, 8, 4)}


def inputs(n: int, style: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    return torch.rand(n, 5) * 2 - 1, torch.arange(n) % 2, torch.randn(n, style) if style else None


@pytest.mark.parametrize(("size", "style"), [(16, 6), (24, 6), (96, 0)])
def test_generator_draws_the_asked_size_in_range(size: int, style: int) -> None:
    generator = srresnet(size, noise_size=5, style_size=style, **SMALL)
    faces = generator(*inputs(3, style))
    assert faces.shape == (3, 3, size, size)
    assert faces.abs().max() <= 1
    assert faces.std() > 0


def test_every_input_of_the_generator_changes_the_face() -> None:
    generator = srresnet(16, noise_size=5, style_size=6, **SMALL).eval()
    noise, gender, style = inputs(2)
    with torch.no_grad():
        face = generator(noise, gender, style)
        assert not torch.equal(face, generator(-noise, gender, style))
        assert not torch.equal(face, generator(noise, 1 - gender, style))
        assert not torch.equal(face, generator(noise, gender, style + 1))
        torch.testing.assert_close(face[:1], generator(noise[:1], gender[:1], style[:1]))  # a face does not depend on its batch


@pytest.mark.parametrize(("size", "widths"), [(16, (4, 8)), (24, (4, 8, 8)), (96, (4, 4, 8, 8, 8, 16))])
@pytest.mark.parametrize("style", [0, 6])
def test_discriminator_has_three_heads(size: int, widths: tuple[int, ...], style: int) -> None:
    blocks = (1,) * len(widths)
    verdict = srresnet_discriminator(size, style, widths, blocks)(torch.randn(3, 3, size, size))
    assert verdict.source.shape == (3,)
    assert verdict.gender.shape == (3, 2)
    assert (verdict.style is None) if style == 0 else (verdict.style.shape == (3, style))


def test_paper_networks_are_those_of_the_paper() -> None:
    generator, discriminator = srresnet(96), srresnet_discriminator(96)
    assert generator.fc.weight.shape[1] >= 128 + 30 + 1
    assert len(generator.blocks) == 16
    assert generator.last.kernel_size == (9, 9)
    convolutions = [module for module in discriminator.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 6 + 2 * 10
    assert not any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules())
    for network in (generator, discriminator):
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.weight.numel() > 5000:
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_spectral_norm_bounds_every_layer() -> None:
    discriminator = srresnet_discriminator(16, 6, (4, 8), (1, 0), spectral_norm=True)
    for _ in range(50):
        discriminator(torch.randn(2, 3, 16, 16))
    discriminator.eval()
    for module in discriminator.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            largest = torch.linalg.matrix_norm(module.weight.flatten(1), ord=2).item()
            assert largest == pytest.approx(1, abs=0.05)


def test_minibatch_deviation_against_numbers() -> None:
    features = torch.tensor([[1.0, 5.0], [3.0, 5.0]])  # deviations 1 and 0, mean 0.5
    torch.testing.assert_close(minibatch_deviation(features), torch.full((2, 1), 0.5), atol=1e-4, rtol=0)
    discriminator = srresnet_discriminator(16, 0, (4, 8), (0, 0), minibatch_std=True)
    images = torch.randn(2, 3, 16, 16)
    alone, together = discriminator(images[:1]).source, discriminator(images).source[:1]
    assert not torch.equal(alone, together)


def test_icnr_begins_without_a_checkerboard() -> None:
    """Behind a pixel shuffle the four pixels of a cell are one value at first."""
    for icnr in (False, True):
        torch.manual_seed(0)
        upsample = srresnet(32, channels=8, blocks=1, up_channels=(8, 8, 8), icnr=icnr).upsample[0]
        cells = upsample.shuffle(upsample.conv(torch.randn(2, 8, 4, 4))).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        assert torch.allclose(cells, cells[:, :, :, :1, :, :1].expand_as(cells)) is icnr


@pytest.mark.parametrize("pair", list(itertools.product(network_names("generator"), network_names("discriminator"))))
def test_every_registered_pair_trains(pair: tuple[str, str], tmp_path: Path) -> None:
    settings = gan["settings"](
        "images=8", f"generator.name={pair[0]}", f"discriminator.name={pair[1]}", "generator.arguments={blocks: 1}"
    )
    faces = gan["draw_faces"]()
    train(Workspace(tmp_path), settings, faces, progress=False)
    torch.manual_seed(0)
    drawn = load_generator(tmp_path / "gan")(torch.randn(2, 8), torch.tensor([0, 1]), torch.randn(2, 4))
    assert drawn.shape == (2, 3, 16, 16)
    assert torch.isfinite(drawn).all()


def test_wrong_names_and_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean srresnet\?"):
        make_network("generator", "srresnt", size=16)
    with pytest.raises(ConfigError, match=r"'chanels'.* Did you mean channels\?"):
        make_network("generator", "srresnet", size=16, chanels=4)
    with pytest.raises(ConfigError, match="multiple of 8"):
        make_network("generator", "srresnet", size=20)
    with pytest.raises(ConfigError, match="to nothing"):
        make_network("discriminator", "srresnet_discriminator", size=16)
    with pytest.raises(ConfigError, match="one number a stage"):
        make_network("discriminator", "srresnet_discriminator", size=96, blocks=(1, 2))
