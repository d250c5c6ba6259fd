import itertools
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

from configs import load_settings
from configs.errors import ConfigError
from labeling.workspace import Workspace
from sga.models import dcgan, make_network, network_names, reads_features, srresnet, srresnet_discriminator
from sga.models.blocks import minibatch_deviation
from sga.training import GanSettings, load_generator, train

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))
SMALL = {"channels": 8, "blocks": 2, "up_channels": (8, 8, 4)}


ON_PIXELS = [name for name in network_names("discriminator") if not reads_features("discriminator", name)]
"""Those on features of the SFN need a workspace that has one."""


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
@pytest.mark.parametrize("last_kernel", [3, 4])
def test_discriminator_has_three_heads(size: int, widths: tuple[int, ...], style: int, last_kernel: int) -> None:
    blocks, kernels = (1,) * len(widths), (*[4] * (len(widths) - 1), last_kernel)
    verdict = srresnet_discriminator(size, style, widths, blocks, kernels)(torch.randn(3, 3, size, size))
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


def parameters(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def networks_of(preset: str) -> tuple[nn.Module, nn.Module]:
    settings = load_settings(GanSettings, "gan", preset)
    generator = make_network("generator", settings.generator.name, **settings.network_arguments("generator"))
    discriminator = make_network("discriminator", settings.discriminator.name, **settings.network_arguments("discriminator"))
    return generator, discriminator


def test_networks_of_jin_et_al_weight_by_weight() -> None:
    """Fig. 3 and 4, added up by hand; beside them a bit of gender and its head, which are not in the paper."""
    generator, discriminator = networks_of("moe128")
    norm, inputs = 2 * 64, 128 + 1 + 34
    expected = (inputs + 1) * 64 * 16 * 16 + norm  # FC, BN
    expected += 16 * (2 * 9 * 64 * 64 + 2 * norm) + norm  # 16 blocks of two 3×3 convolutions and BN; BN before the long skip
    expected += 3 * (9 * 64 * 256 + norm)  # 3 × (3×3 convolution to 256, pixel shuffle, BN)
    expected += (81 * 64 + 1) * 3  # 9×9 convolution
    assert parameters(generator) == expected == 4_329_283
    with torch.no_grad():
        verdict = discriminator(generator.eval()(torch.zeros(2, 128), torch.tensor([0, 1]), torch.ones(2, 34)))
    assert (verdict.source.shape, verdict.style.shape) == ((2,), (2, 34))
    widths, kernels = (32, 64, 128, 256, 512, 1024), (4, 4, 4, 3, 3, 3)
    strided = zip((3, *widths), widths, kernels, strict=False)
    expected = sum((edge**2 * before + 1) * width for before, width, edge in strided)
    expected += sum(4 * (9 * width + 1) * width for width in widths[:-1])  # two blocks of two 3×3 convolutions each
    expected += (1024 * 2 * 2 + 1) * (1 + 2 + 34)
    assert parameters(discriminator) == expected == 19_086_725


def test_the_baseline_has_more_than_three_times_the_weights() -> None:
    """Jin et al., 5.4: replacing the DCGAN generator makes the model 4 times smaller."""
    ours, theirs = (networks_of(preset)[0] for preset in ("moe128", "dcgan128"))
    assert 3 < parameters(theirs) / parameters(ours) < 5
    light, heavy = (networks_of(preset)[0] for preset in ("moe64-cpu", "dcgan64-cpu"))
    assert parameters(heavy) / parameters(light) == pytest.approx(parameters(theirs) / parameters(ours), rel=0.05)
    with torch.no_grad():
        faces = theirs.eval()(torch.randn(2, 128), torch.tensor([0, 1]), torch.ones(2, 34))
    assert faces.shape == (2, 3, 128, 128)
    assert faces.abs().max() <= 1


@pytest.mark.parametrize(("size", "widths"), [(64, (32, 16, 8, 8)), (96, (32, 16, 8, 8)), (128, (32, 16, 8, 8, 8))])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_dcgan_doubles_with_every_width(size: int, widths: tuple[int, ...], kernel: int) -> None:
    generator = dcgan(size, 5, 6, widths, kernel).eval()
    assert generator.start == size >> len(widths)
    noise, gender, style = inputs(3)
    with torch.no_grad():
        faces = generator(noise, gender, style)
        assert faces.shape == (3, 3, size, size)
        assert faces.abs().max() <= 1
        assert not torch.equal(faces, generator(noise, 1 - gender, style))
        assert not torch.equal(faces, generator(noise, gender, style + 1))
        assert not torch.equal(faces, generator(-noise, gender, style))
    assert dcgan(size, 5, 0, widths, kernel)(noise, gender).shape == (3, 3, size, size)


def test_dcgan_is_that_of_radford_et_al() -> None:
    """Fig. 1: 1024 channels at 4×4, four transposed 5×5 convolutions of stride 2, BN and ReLU behind all but the last."""
    generator = dcgan(64, noise_size=100, style_size=0)
    assert generator.fc.weight.shape == (1024 * 4 * 4, 101)
    ups = [module for module in generator.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert [(up.in_channels, up.out_channels) for up in ups] == [(1024, 512), (512, 256), (256, 128), (128, 3)]
    assert {(up.kernel_size, up.stride) for up in ups} == {((5, 5), (2, 2))}
    assert sum(isinstance(module, nn.BatchNorm2d) for module in generator.modules()) == 4
    for up in ups[:3]:
        assert up.weight.std().item() == pytest.approx(0.02, rel=0.02)


def test_the_long_skip_adds_what_a_relu_lets_through() -> None:
    """Jin et al., Fig. 3; SRResNet has no ReLU there. With blocks that subtract 1 everywhere nothing is added."""
    seen: list[torch.Tensor] = []
    for skip_relu in (False, True):
        torch.manual_seed(0)
        generator = srresnet(16, noise_size=5, style_size=6, skip_relu=skip_relu, **SMALL).eval()
        nn.init.zeros_(generator.blocks_norm.weight)
        nn.init.constant_(generator.blocks_norm.bias, -1.0)
        generator.upsample.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        with torch.no_grad():
            generator(*(torch.ones(1, 5), torch.tensor([1]), torch.ones(1, 6)))
    assert torch.equal(seen[0], seen[1] - 1)


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


@pytest.mark.parametrize("pair", list(itertools.product(network_names("generator"), ON_PIXELS)))
def test_every_registered_pair_trains(pair: tuple[str, str], tmp_path: Path) -> None:
    small = {"srresnet": "{blocks: 1}", "dcgan": "{widths: [8, 8]}"}[pair[0]]
    settings = gan["settings"](
        "images=8", f"generator.name={pair[0]}", f"discriminator.name={pair[1]}", f"generator.arguments={small}"
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
    for kernels in ((4, 4), (4, 4, 4, 4, 4, 5)):
        with pytest.raises(ConfigError, match="kernels must name 3 or 4 for each of 6 stages"):
            make_network("discriminator", "srresnet_discriminator", size=96, kernels=kernels)
    with pytest.raises(ConfigError, match=r"number of widths \(4\), found 72"):
        make_network("generator", "dcgan", size=72)
    with pytest.raises(ConfigError, match="kernel must be at least 2"):
        make_network("generator", "dcgan", size=64, kernel=1)
