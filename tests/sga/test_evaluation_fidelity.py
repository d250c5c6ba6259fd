"""Agreement with torch-fidelity on the same features, and its InceptionV3 as the extractor; needs the extra `fidelity`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import InputError
from sga.evaluation.features import inception
from sga.evaluation.frechet import Moments, frechet_distance
from sga.evaluation.kernel import kernel_distance
from sga.evaluation.neighbours import manifold_measures

pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed: pip install 'sga-gan[fidelity]'")
CPU = torch.device("cpu")


def features(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(loc=0.1 * seed, size=(n, 16)).astype(np.float32)


def test_fid_kid_and_precision_are_those_of_torch_fidelity() -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    fake, real = features(150, 1), features(150, 0)
    tensors = [torch.from_numpy(side) for side in (fake, real)]
    statistics = [fid_features_to_statistics(side.double()) for side in tensors]
    fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(Moments.of(fake), Moments.of(real)) == pytest.approx(fid, rel=1e-6)

    quiet = {"verbose": False, "save_cpu_ram": False, "rng_seed": 0}
    kid = kid_features_to_metric(*tensors, kid_subsets=1, kid_subset_size=150, **quiet)["kernel_inception_distance_mean"]
    assert kernel_distance(fake, real, 150, 1).value == pytest.approx(kid, rel=1e-4)

    prc = prc_features_to_metric(*tensors, prc_neighborhood=3, prc_batch_size=50, **quiet)
    found = manifold_measures(real, fake, 3, 5)
    assert (found.precision, found.recall) == (pytest.approx(prc["precision"]), pytest.approx(prc["recall"]))


def test_inception_sees_faces_with_the_weights_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own weights cannot be fetched in a test: others of the same shapes stand for them."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda network, state: None)
        torch.save({}, tmp_path / "none.pth")
        made = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(tmp_path / "none.pth"))
    weights = tmp_path / "weights.pth"
    torch.save(made.state_dict(), weights)
    extractor = inception(weights, CPU, batch=2)
    images = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3)).astype(np.uint8)
    found = extractor.features(images)
    expected = made(torch.from_numpy(images).permute(0, 3, 1, 2))[0].numpy()
    assert found.shape == (3, 2048)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert extractor.fingerprint == inception(weights, CPU, batch=4).fingerprint

    with pytest.raises(InputError, match=r"none named.*--inception-weights"):
        inception(None, CPU, 8)
    for content in (b"no weights", weights.read_bytes()[:5000]):
        (tmp_path / "bad.pth").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.pth, found others"):
            inception(tmp_path / "bad.pth", CPU, 8)
    torch.save({"unsafe": Path("object")}, tmp_path / "bad.pth")  # a pickle of anything but tensors
    with pytest.raises(InputError, match=r"bad\.pth, found others"):
        inception(tmp_path / "bad.pth", CPU, 8)
