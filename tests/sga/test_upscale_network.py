"""The upscaler's parts: degradation, network, losses and measures against references, and its ONNX file against torch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from configs.errors import InputError, ModelError
from sga.generation.enlarge import FILTER, Enlarger, check_size, resample
from sga.upscale.degradation import PLAIN, degrade, position_rng, shrink
from sga.upscale.filters import enlarge_by
from sga.upscale.graph import UpscaleGraph, export_upscaler
from sga.upscale.losses import charbonnier, edge_distance, sobel
from sga.upscale.measures import luma, psnr, ssim
from sga.upscale.network import PatchDiscriminator, UpscaleNetwork, bicubic_phases
from sga.upscale.settings import DegradationSettings


def picture(height: int = 48, width: int = 48, seed: int = 0) -> np.ndarray:
    """A smooth picture with lines, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 216, (6, 6, 3), dtype=np.uint8))
    image = np.array(coarse.resize((width, height), Image.Resampling.BICUBIC))
    image[height // 3 : height // 3 + 2] = 20
    image[:, width // 2 : width // 2 + 2] = 235
    return image


# -- degradation ---------------------------------------------------------------------------------------------------------------


def test_a_plain_input_is_the_bicubic_filter_alone() -> None:
    image = picture()
    expected = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.BICUBIC))
    assert all(np.array_equal(degrade(image, 2, PLAIN, position_rng(0, place)), expected) for place in range(20))


def test_degradation_is_a_function_of_the_position() -> None:
    image, settings = picture(), DegradationSettings(plain=0.3)
    first = [degrade(image, 2, settings, position_rng(5, place)) for place in range(40)]
    again = [degrade(image, 2, settings, position_rng(5, place)) for place in reversed(range(40))][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    plain = sum(np.array_equal(one, shrink(image, 2)) for one in first)
    assert 4 < plain < 30  # 0.3 of them, and those whose kernel happens to be bicubic with nothing else
    assert len({one.tobytes() for one in first}) > 15


@pytest.mark.parametrize("only", ["blur_share", "noise_share", "jpeg_share"])
def test_each_kind_of_damage_does_something(only: str) -> None:
    image = picture()
    quiet = {"plain": 0.0, "blur_share": 0.0, "noise_share": 0.0, "jpeg_share": 0.0}
    kernels = {degrade(image, 2, DegradationSettings(**quiet), position_rng(0, place)).tobytes() for place in range(40)}
    assert len(kernels) == 4
    damaged = [degrade(image, 2, DegradationSettings(**{**quiet, only: 1.0}), position_rng(0, place)) for place in range(10)]
    assert sum(one.tobytes() not in kernels for one in damaged) >= 8
    assert max(abs(one.astype(int) - shrink(image, 2)).mean() for one in damaged) < 12  # mild: still the same picture


# -- network -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 4])
def test_below_the_network_lies_the_bicubic_filter(scale: int) -> None:
    """Pillow's own in floating point; at the border the two treat what lies outside in different ways."""
    assert torch.allclose(bicubic_phases(scale).sum(dim=(1, 2)), torch.ones(scale**2), atol=1e-6)
    network = UpscaleNetwork(8, 1, scale)
    for part in (network.last.weight, network.last.bias):
        assert part is not None
        torch.nn.init.zeros_(part)
    image = picture(20, 28)
    with torch.no_grad():
        made = network(torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None])[0].numpy()
    for plane in range(3):
        source = Image.fromarray(image[..., plane].astype(np.float32))
        expected = np.asarray(source.resize((28 * scale, 20 * scale), Image.Resampling.BICUBIC))
        inner = (slice(2 * scale, -2 * scale),) * 2
        assert np.abs(made[plane][inner] - expected[inner]).max() < 1e-3


def test_an_untrained_network_is_that_filter_nearly() -> None:
    torch.manual_seed(0)
    large = UpscaleGraph(UpscaleNetwork(16, 2))(torch.from_numpy(picture()[None])).numpy()[0]
    assert psnr(large[None], enlarge_by(Image.Resampling.BICUBIC)(picture(), 2)[None])[0] > 20


def test_any_height_and_width() -> None:
    network = UpscaleNetwork(8, 1)
    assert network(torch.zeros(2, 3, 5, 9)).shape == (2, 3, 10, 18)
    assert 100_000 < sum(weight.numel() for weight in UpscaleNetwork().parameters()) < 400_000


def test_the_discriminator_tells_patches_apart() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(8)
    real, fake = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32) * 0.2
    optimizer = torch.optim.Adam(judge.parameters(), 1e-2)
    for _ in range(15):
        loss = torch.nn.functional.softplus(judge(fake) - judge(real)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert judge(real).shape == (4 * 16,)
    assert judge(real).mean() > judge(fake).mean() + 1


# -- losses --------------------------------------------------------------------------------------------------------------------


def test_losses() -> None:
    picture_, target = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.5)
    assert charbonnier(picture_, picture_).item() == 0
    assert charbonnier(picture_, target).item() == pytest.approx(0.5, abs=0.003)
    assert edge_distance(picture_, target).item() == 0  # a constant has no edges
    ramp = torch.arange(8.0)[None, None, None, :].expand(1, 3, 8, 8)
    right, down = sobel(ramp).split(3, dim=1)
    assert right.shape == (1, 3, 6, 6)
    assert torch.equal(right, torch.ones_like(right))  # half of a step of 2
    assert torch.equal(down, torch.zeros_like(down))
    assert torch.equal(sobel(ramp.transpose(2, 3)).split(3, dim=1)[1].transpose(2, 3), right)


# -- measures ------------------------------------------------------------------------------------------------------------------


def test_measures_are_those_of_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.image")
    originals = np.stack([picture(40, 52, seed) for seed in range(3)])
    noisy = (originals + np.random.default_rng(0).normal(0, 9, originals.shape)).clip(0, 255).astype(np.uint8)
    one, other = (torch.from_numpy(part).permute(0, 3, 1, 2).double() for part in (noisy, originals))
    expected = functional.peak_signal_noise_ratio(one, other, data_range=255.0, reduction="none", dim=(1, 2, 3))
    assert psnr(noisy, originals) == pytest.approx(expected.numpy(), abs=1e-5)
    planes = luma(noisy), luma(originals)
    one, other = (torch.from_numpy(part)[:, None] for part in planes)
    _, whole = functional.structural_similarity_index_measure(one, other, data_range=255.0, return_full_image=True)
    inner = whole[:, 0, 5:-5, 5:-5].mean(dim=(1, 2))  # it mirrors the border; papers take the windows inside
    assert ssim(*planes) == pytest.approx(inner.numpy(), abs=1e-6)
    assert ssim(planes[1], planes[1]) == pytest.approx(1)
    assert np.isinf(psnr(originals, originals)).all()
    assert luma(np.array([[[[0, 0, 0]], [[255, 255, 255]]]], np.uint8)).ravel() == pytest.approx([16, 235])


# -- ONNX ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained() -> UpscaleNetwork:
    """Weights as large as trained ones, so that an exchange of channels would show."""
    torch.manual_seed(1)
    network = UpscaleNetwork(16, 2).eval()
    with torch.no_grad():
        network.last.weight.mul_(8)
    return network


@pytest.fixture(scope="module")
def onnx_file(trained: UpscaleNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upscaler") / "upscaler.onnx"
    export_upscaler(path, trained)
    return path


def in_torch(network: UpscaleNetwork, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return UpscaleGraph(network)(torch.from_numpy(image[None])).numpy()[0]


@pytest.mark.parametrize("shape", [(24, 24), (17, 40), (96, 96)])
def test_the_file_computes_what_torch_does(trained: UpscaleNetwork, onnx_file: Path, shape: tuple[int, int]) -> None:
    """The order in which a pixel shuffle reads its channels is where exporters go wrong: a plane, then a row, then a column."""
    image = picture(*shape)
    made, expected = Enlarger(onnx_file.read_bytes()).times(image, 2).astype(int), in_torch(trained, image).astype(int)
    assert made.shape == (2 * shape[0], 2 * shape[1], 3)
    assert abs(made - expected).max() <= 1  # weights in half precision
    phases = [expected[row::2, column::2] for row in range(2) for column in range(2)]
    assert min(abs(one - other).max() for one, other in pairwise(phases)) > 5  # so that another order would be seen


def test_four_times_is_twice_two_times(onnx_file: Path) -> None:
    upscaler, image = Enlarger(onnx_file.read_bytes()), picture(20, 30)
    assert np.array_equal(upscaler.times(image, 4), upscaler.times(upscaler.times(image, 2), 2))
    with pytest.raises(InputError, match="Expected a scale of 2 or 4, found 3"):
        upscaler.times(image, 3)


def test_threads_and_company_do_not_matter(onnx_file: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    content, images = onnx_file.read_bytes(), [picture(48, 48, seed) for seed in range(6)]
    expected = [Enlarger(content, 1).to_size(image, 100) for image in images]
    shared = Enlarger(content, 2)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda one: shared.to_size(one, 100), images))
    assert np.array_equal(found, expected)


def test_to_size_goes_as_far_as_the_network_and_then_filters(onnx_file: Path) -> None:
    upscaler, image = Enlarger(onnx_file.read_bytes()), picture()
    assert np.array_equal(upscaler.to_size(image, 48), image)
    assert np.array_equal(upscaler.to_size(image, 32), resample(image, 32, 32))
    twice, four = upscaler.times(image, 2), upscaler.times(image, 4)
    for size, source in ((49, twice), (96, twice), (97, four), (192, four), (300, four)):
        assert np.array_equal(upscaler.to_size(image, size), resample(source, size, size))


def test_a_large_picture_is_enlarged_in_tiles(onnx_file: Path, trained: UpscaleNetwork) -> None:
    """No seam: as if it were enlarged whole, up to rounding."""
    image = np.tile(picture(64, 64), (7, 13, 1))[:430, :800]
    made = Enlarger(onnx_file.read_bytes()).times(image, 2)
    assert abs(made.astype(int) - in_torch(trained, image)).max() <= 1


def test_without_a_network_the_filter_does_all() -> None:
    upscaler, image = Enlarger(None), picture()
    assert (upscaler.name, upscaler.learned) == (FILTER, False)
    assert np.array_equal(upscaler.to_size(image, 200), resample(image, 200, 200))
    with pytest.raises(InputError, match="found a model without"):
        upscaler.times(image, 2)


@pytest.mark.parametrize("content", [b"", b"no ONNX"])
def test_a_damaged_file_is_named(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"Expected an upscaler in upscaler\.onnx"):
        Enlarger(content).to_size(picture(), 100)


def test_another_network_is_no_upscaler() -> None:
    onnx = pytest.importorskip("onnx")
    value = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, ["n", "h", "w", 3]) for name in ("image", "large")
    ]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["image"], ["large"])], "none", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelError, match="to enlarge"):
        Enlarger(model.SerializeToString()).to_size(picture(), 100)


@pytest.mark.parametrize("size", [15, 4097, -1])
def test_sizes_have_bounds(size: int) -> None:
    with pytest.raises(InputError, match=rf"Expected a size from 16 to 4096 px, found {size}"):
        check_size(size)
