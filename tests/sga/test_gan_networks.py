"""The candidates of the networks: projection of the condition, projected discriminator, modulation of the blocks."""

import copy
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from classifiers.sfn import load_sfn
from configs.errors import ConfigError, WorkspaceError
from labeling.workspace import Workspace
from sga.export.graphs import export_generator
from sga.losses.perceptual import feature_maps
from sga.models import FrozenFeatures, make_network, projected, srresnet, srresnet_discriminator
from sga.models.encoder import Encoder
from sga.training import train
from sga.training.warm_start import align_prior

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))
WIDTHS: dict[str, Any] = {"widths": (4, 8), "blocks": (0, 1)}
SMALL: dict[str, Any] = {"channels": 8, "blocks": 2, "up_channels": (8, 8, 4), "last_kernel": 3}


def told(count: int, style: int) -> torch.Tensor:
    """Genders -1, 1 and 0 in turn, and a style."""
    return torch.cat([(torch.arange(count) % 3 - 1.0).unsqueeze(1), torch.randn(count, style)], dim=1)


# -- projection ------------------------------------------------------------------------------------------------------------


def test_projection_adds_the_inner_product_of_condition_and_features() -> None:
    torch.manual_seed(0)
    network = srresnet_discriminator(16, 3, **WIDTHS, condition="both", he=True)
    plain = srresnet_discriminator(16, 3, **WIDTHS, he=True)
    left = network.load_state_dict(plain.state_dict(), strict=False)
    assert left.missing_keys == ["embedding.weight"]
    images, condition = torch.randn(4, 3, 16, 16), told(4, 3)
    with torch.no_grad():
        verdict, before = network(images, condition), plain(images)
        features = network.body(images).mean(dim=(2, 3)).numpy()
    asked = condition.numpy() @ network.embedding.weight.detach().numpy().T  # V y
    np.testing.assert_allclose((verdict.source - before.source).numpy(), (asked * features).sum(axis=1), atol=1e-5)
    assert torch.equal(verdict.gender, before.gender)
    assert torch.equal(verdict.style, before.style)


def test_an_unknown_gender_takes_no_part() -> None:
    network = srresnet_discriminator(16, 0, **WIDTHS, condition="projection", he=True)
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        female, unknown, male = (network(images, torch.full((3, 1), sign)).source for sign in (-1.0, 0.0, 1.0))
    assert not torch.equal(female, male)
    torch.testing.assert_close((female + male) / 2, unknown)
    verdict = network(images, torch.zeros(3, 1))
    assert (verdict.gender, verdict.style) == (None, None)


def test_a_condition_is_asked_for_by_name() -> None:
    network = srresnet_discriminator(16, 0, **WIDTHS, condition="projection")
    with pytest.raises(TypeError, match="needs the condition"):
        network(torch.randn(2, 3, 16, 16))
    with pytest.raises(ConfigError, match="condition must be auxiliary, projection, both, found project"):
        make_network("discriminator", "srresnet_discriminator", size=16, **WIDTHS, condition="project")


# -- projected discriminator -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> FrozenFeatures:
    network, _, _ = load_sfn(gan["write_sfn"](tmp_path_factory.mktemp("sfn") / "network.safetensors"))
    return FrozenFeatures(network.backbone, "fingerprint")


@pytest.fixture
def critic(features: FrozenFeatures) -> nn.Module:
    torch.manual_seed(1)
    return projected(32, 4, features=features, layers=(1, 2), width=6)


def test_verdicts_of_every_scale_and_place(critic: nn.Module) -> None:
    verdict = critic(torch.randn(3, 3, 32, 32))
    assert verdict.source.shape == (3, 2 * 4 * 4)  # two scales, each brought down to the coarsest map's 4 × 4 places
    assert verdict.gender.shape == (3, 2)
    assert verdict.style.shape == (3, 4)
    assert [part.dtype for part in verdict] == [torch.float32] * 3


def test_maps_are_mixed_across_channels_and_scales(critic: nn.Module, features: FrozenFeatures) -> None:
    images = torch.randn(2, 3, 32, 32)
    fine, coarse = feature_maps(features.backbone, images, (1, 2))
    weights = {name: value for name, value in critic.state_dict().items() if name.startswith(("channels", "scales"))}
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "channels.0.weight": (6, 4, 1, 1),
        "channels.1.weight": (6, 8, 1, 1),
        "scales.0.weight": (6, 6, 3, 3),
    }
    below = torch.einsum("nchw,dc->ndhw", coarse, weights["channels.1.weight"][:, :, 0, 0])
    up = F.conv2d(F.interpolate(below, size=(8, 8), mode="bilinear"), weights["scales.0.weight"], padding=1)
    above = torch.einsum("nchw,dc->ndhw", fine, weights["channels.0.weight"][:, :, 0, 0])
    mixed = critic.mixed(images)
    torch.testing.assert_close(mixed[1], below, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mixed[0], (above + up) / 2**0.5, atol=1e-5, rtol=1e-4)


def test_the_features_are_frozen_and_pass_gradients(critic: nn.Module, features: FrozenFeatures) -> None:
    before = copy.deepcopy(features.state_dict())
    assert not set(critic.parameters()) & set(features.parameters())
    assert not any(name.startswith("_features") for name in critic.state_dict())
    assert not {name for name, _ in critic.named_parameters() if name.startswith(("channels", "scales"))}
    critic.train().requires_grad_(True)
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    critic(images).source.sum().backward()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()
    assert all(weight.grad is None for weight in features.parameters())
    assert not features.backbone.training
    for name, value in features.state_dict().items():  # batch norm's running statistics too
        assert torch.equal(value, before[name]), name


def test_random_projections_are_saved(critic: nn.Module, features: FrozenFeatures) -> None:
    torch.manual_seed(2)
    other = projected(32, 4, features=features, layers=(1, 2), width=6)
    images = torch.randn(2, 3, 32, 32)
    critic.eval(), other.eval()
    assert not torch.equal(other(images).source, critic(images).source)
    other.load_state_dict(critic.state_dict())
    assert torch.equal(other(images).source, critic(images).source)
    with pytest.raises(ValueError, match="trained on the features fingerprint"):
        projected(
            32, 4, features=FrozenFeatures(copy.deepcopy(features.backbone), "another"), layers=(1, 2), width=6
        ).load_state_dict(critic.state_dict())


def test_a_trunk_has_half_of_the_say_and_tells_the_condition(features: FrozenFeatures) -> None:
    torch.manual_seed(3)
    network = projected(32, 4, features=features, layers=(2,), width=6, trunk={**WIDTHS, "condition": "both"}).eval()
    images, condition = torch.randn(2, 3, 32, 32), told(2, 4)
    assert network.reads_condition
    with torch.no_grad():
        verdict, trunk = network(images, condition), network.trunk(images, condition)
    torch.testing.assert_close(verdict.source[:, 16:], trunk.source.unsqueeze(1).expand(-1, 16))
    assert verdict.source.shape == (2, 32)
    assert torch.equal(verdict.gender, trunk.gender)
    assert torch.equal(verdict.style, trunk.style)


def test_layers_must_ascend(features: FrozenFeatures) -> None:
    with pytest.raises(ConfigError, match=r"ascending order, found \[2, 1\]"):
        make_network("discriminator", "projected", size=32, features=features, layers=(2, 1))
    with pytest.raises(ConfigError, match="must not name features"):
        gan["settings"]("discriminator={name: projected, arguments: {features: 1}}")


def test_another_feature_network_is_refused_on_resume(tmp_path: Path) -> None:
    path, faces = gan["write_sfn"](tmp_path / "sfn" / "network.safetensors"), gan["draw_faces"]()
    short = ("discriminator={name: projected, arguments: {width: 4}}", "adversarial=hinge", "penalty=null", "weights.penalty=0")
    train(Workspace(tmp_path), gan["settings"]("images=4", *short), faces, progress=False)
    stored = torch.load(tmp_path / "gan" / "checkpoint.pt", weights_only=True)["discriminator"]
    assert not any("backbone" in name for name in stored)
    good = path.read_bytes()
    gan["write_sfn"](path, seed=1)
    for accept in (False, True):
        with pytest.raises(WorkspaceError, match=r"was trained with .*found another .*network\.safetensors.*to start anew"):
            train(Workspace(tmp_path), gan["settings"]("images=8", *short), faces, progress=False, accept_changes=accept)
    path.write_bytes(good)
    assert train(Workspace(tmp_path), gan["settings"]("images=8", *short), faces, progress=False).images == 8
    path.unlink()
    with pytest.raises(WorkspaceError, match="Type first: sga sfn"):
        train(Workspace(tmp_path), gan["settings"]("images=12", *short), faces, progress=False)


# -- modulation ------------------------------------------------------------------------------------------------------------


def generators() -> tuple[nn.Module, nn.Module]:
    """A modulated generator, fresh, and a plain one with the same weights otherwise."""
    torch.manual_seed(0)
    modulated = srresnet(16, noise_size=5, style_size=6, **SMALL, film=True).eval()
    plain = srresnet(16, noise_size=5, style_size=6, **SMALL).eval()
    shared = {name.replace("modulated.", "").replace(".block.", "."): value for name, value in modulated.state_dict().items()}
    plain.load_state_dict({name: value for name, value in shared.items() if ".told." not in name})
    return modulated, plain


def asked(count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.rand(count, 5) * 2 - 1, torch.arange(count) % 2, torch.randn(count, 6)


def test_modulation_begins_as_the_plain_blocks() -> None:
    modulated, plain = generators()
    inputs = asked()
    with torch.no_grad():
        torch.testing.assert_close(modulated(*inputs), plain(*inputs))
    more = sum(weight.numel() for weight in modulated.parameters()) - sum(weight.numel() for weight in plain.parameters())
    assert more == 2 * (1 + 6 + 1) * 2 * 8  # blocks × (condition + bias) × (gain and shift) × channels


def test_modulation_is_linear_in_the_condition_before_the_relu() -> None:
    modulated, _ = generators()
    block = modulated.blocks.modulated[0]
    torch.manual_seed(4)
    nn.init.normal_(block.told.weight)
    x, condition = torch.randn(3, 8, 2, 2), torch.randn(3, 7)
    with torch.no_grad():
        said = condition.numpy() @ block.told.weight.numpy().T
        plain = block.block.first_norm(block.block.first(x)).numpy()
        hidden = np.maximum(plain * (1 + said[:, :8, None, None]) + said[:, 8:, None, None], 0)
        expected = x + block.block.second_norm(block.block.second(torch.from_numpy(hidden)))
        torch.testing.assert_close(block(x, condition), expected, atol=1e-5, rtol=1e-4)


def test_a_modulated_generator_is_exported(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    modulated, _ = generators()
    torch.manual_seed(5)
    for weight in modulated.parameters():  # fresh weights draw almost nothing
        weight.data.mul_(3)
    for block in modulated.blocks.modulated:
        nn.init.normal_(block.told.weight)
    export_generator(tmp_path / "generator.onnx", copy.deepcopy(modulated), 5, 6)
    noise, gender, style = asked()
    session = onnxruntime.InferenceSession(str(tmp_path / "generator.onnx"))
    (drawn,) = session.run(None, {"noise": noise.numpy(), "gender": gender.numpy(), "style": style.numpy()})
    with torch.no_grad():
        expected = ((modulated(noise, gender, style) + 1) * 127.5).round().numpy().transpose(0, 2, 3, 1)
    assert expected.std() > 5
    assert np.abs(drawn.astype(int) - expected).max() <= 2  # weights are stored in half precision


def test_aligning_the_prior_of_a_modulated_generator_keeps_its_drawings() -> None:
    from classifiers.runtime import LaunchSettings, launch

    faces, settings = gan["draw_faces"](), gan["settings"]("generator.arguments.film=true")
    torch.manual_seed(6)
    generator = make_network("generator", "srresnet", **settings.network_arguments("generator")).eval()
    encoder = Encoder(settings.size, settings.noise_size, 1 + settings.style_size, 8).eval()
    for block in generator.blocks.modulated:
        nn.init.normal_(block.told.weight, std=0.3)
    for weight in generator.parameters():
        weight.data.mul_(4)
    encoder.head.weight.data.mul_(30)
    batch = faces.batch(np.arange(12), torch.device("cpu"))
    gender = batch.gender.clamp(min=0)
    condition = generator.condition(gender, batch.style)

    def encoded() -> torch.Tensor:
        torch.manual_seed(7)
        return encoder(batch.images, condition)

    with torch.no_grad():
        code = encoded()
        before = generator(code, gender, batch.style)
        align_prior(generator, encoder, faces, launch(LaunchSettings(accelerator="cpu", precision="32", threads=1)))
        noise = encoded()
        after = generator(noise, gender, batch.style)
    assert (noise - code).abs().max() > 0.1
    assert before.std() > 0.05
    torch.testing.assert_close(after, before, atol=5e-3, rtol=0)
