"""The page that draws faces in the visitor's browser: static files, made of the built page and a model folder. No torch."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import InputError, ModelError
from configs.files import atomic_path, check_space
from sga.generation.face_model import FaceModel
from sga.generation.rng import quantiles
from sga.model_folder import SMALL_JUDGE, UPSCALER, ModelFolder, read_arrays
from sga.web.arrays import exact_sums, pack

__all__ = ["DIST", "HEADERS", "POLICY", "immutable", "page_files", "write_page"]

DIST = Path(__file__).parent / "dist"
"""The page as Vite built it from `source`."""

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; style-src 'self'; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy: nothing but the page's own origin. The page's meta element says the same."""

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""What a server best adds to every answer: isolation allows threads, and a worker's policy comes from headers alone."""


_OF_WEBGPU = "jspi"
"""In the names of files that are fetched when the graphics card is switched on, and not before."""


_MARKS = ("sw.js", "THIRD_PARTY.txt")
"""By these a page is known as one, also a half-written one: they are written first."""


def immutable(path: str) -> bool:
    """Whether a path of the page names its content, so that it may be cached for ever."""
    return path.startswith("assets/")


def page_files(folder: ModelFolder, model: FaceModel | None = None) -> dict[str, bytes]:
    """The whole page by relative path: index.html, model.json, and under `assets/` scripts, runtimes and networks.

    It works under any path of any static host. What travels of the model is packed with gzip and named after its content.
    model: the folder's, where it is loaded already; it draws the faces by which the page checks itself.

    Raises:
        ModelError: a damaged model folder, or an installation without the built page.
    """
    files = {path.relative_to(DIST).as_posix(): path.read_bytes() for path in sorted(DIST.rglob("*")) if path.is_file()}
    if "index.html" not in files:
        raise ModelError(f"Expected the built page at {DIST}, found none. Install sga-gan again.")
    # A page is the same wherever it is made, so its faces to check by come from the engine that is always there.
    return files | _model_files(folder, model or FaceModel(folder, engine="onnxruntime"))


def write_page(folder: ModelFolder, out: str | Path) -> dict[str, int]:
    """Write the page into `out`; index.html comes last. Files of an earlier page that are not of this one leave `assets/`.

    Returns the bytes that a visitor downloads, by what they are: generator, judge, arrays, runtime, page; and the upscaler,
    where the page has one, which is downloaded when a larger picture is first asked for.

    Raises:
        InputError: the place cannot be written, or holds something else than a page.
        ModelError: as `page_files`.
    """
    out = Path(out)
    mine = all((out / name).is_file() for name in _MARKS) and not (out / "generator.onnx").exists()
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not mine):
        raise InputError(f"Expected an empty or new folder, or an earlier page, at {out}; found something else. Name another.")
    files = page_files(folder)
    check_space(out, sum(map(len, files.values())))
    for name in sorted(files, key=lambda name: (name not in _MARKS, not immutable(name), name == "index.html", name)):
        with atomic_path(out / name) as temporary:
            temporary.write_bytes(files[name])
    for path in (out / "assets").iterdir():
        if path.is_file() and path.relative_to(out).as_posix() not in files:
            path.unlink()
    return download_sizes(files)


def download_sizes(files: dict[str, bytes]) -> dict[str, int]:
    """Bytes that travel on a first visit, by what they are; the upscaler's beside them."""
    header = json.loads(files["model.json"])
    sizes = {name: entry["bytes"] for name, entry in header["files"].items()}
    named = {entry["path"] for entry in header["files"].values()}
    runtimes = {name for name in files if name.startswith("assets/ort-wasm") and name.endswith(".bin")}
    sizes["runtime"] = sum(len(files[name]) for name in runtimes if _OF_WEBGPU not in name)
    sizes["page"] = sum(len(files[name]) for name in files.keys() - named - runtimes if _OF_WEBGPU not in name)
    return sizes


def _model_files(folder: ModelFolder, model: FaceModel) -> dict[str, bytes]:
    spec, content = folder.spec, folder.read_all()
    judge = SMALL_JUDGE if SMALL_JUDGE in content else "judge.onnx"
    packed, table = pack(_arrays(folder, content, model))
    larger = _upscaler(model)
    files: dict[str, bytes] = {}
    entries: dict[str, dict[str, Any]] = {}
    for name, file, raw in (
        ("generator", "generator.onnx", content["generator.onnx"]),
        ("judge", judge, content[judge]),
        ("arrays", "arrays", packed),
        *([("upscaler", UPSCALER, content[UPSCALER])] if larger else []),
    ):
        small = gzip.compress(raw, 6, mtime=0)
        path = f"assets/{file.partition('.')[0]}-{hashlib.sha256(small).hexdigest()[:12]}.bin"
        files[path] = small
        entries[name] = {"path": path, "bytes": len(small), "unpacked": len(raw)}
    if larger:
        entries["upscaler"] |= larger
    strict = spec.quality.values[-1]
    header: dict[str, Any] = {
        "format": 1,
        "hash": folder.hash,
        "drawing": folder.drawing_hash,
        **{name: getattr(spec, name) for name in ("name", "algorithm", "size", "noise_size", "style_size", "style_source")},
        **{name: getattr(spec, name) for name in ("style_prior", "style_jitter", "avatar_attempts")},
        "attributes": [attribute.model_dump(mode="json") for attribute in spec.attributes],
        "gender_threshold": spec.thresholds.gender,
        "accepted": {
            "usual": [spec.accepted_from(gender) for gender in spec.gender.values],
            "strict": [spec.level(strict, gender) for gender in spec.gender.values],
        },
        "max_attempts": spec.defaults.max_attempts,
        "licence": spec.licence or f"See card.md of the model {spec.name}.",
        "judge": judge,
        "files": entries,
        "arrays": table,
    }
    files["model.json"] = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return files


def _upscaler(model: FaceModel) -> dict[str, Any]:
    """Name and factors of the upscaler, nothing where there is none, or the first pass would need tiles."""
    enlarger = model.enlarger
    factors = enlarger.untiled(model.size) if enlarger.learned else []
    return {"name": enlarger.name, "factors": factors} if factors else {}


def _arrays(folder: ModelFolder, content: dict[str, bytes], model: FaceModel) -> dict[str, np.ndarray]:
    """Quantiles, the bank of styles with its codes, the critic, and a known face of each gender for the self-check."""
    spec = folder.spec
    arrays = {"quantiles": quantiles().astype(np.int32)}
    if spec.style_size and spec.style_prior == "empirical":
        bank = read_arrays(content["styles.npz"], "styles.npz")
        style = bank["style"]
        arrays["style"] = style if style.dtype == np.float16 else style.astype(np.float32)
        arrays |= {f"codes.{a.name}": bank[a.name].astype(np.uint8) for a in spec.judged if a.name in bank}
    if "critic.npz" in content:
        inputs = spec.noise_size + spec.style_size + spec.gender.size
        critic = exact_sums(read_arrays(content["critic.npz"], "critic.npz"), inputs)
        arrays |= {f"critic.{name}": array for name, array in critic.items()}
    return arrays | {"check": _known_faces(model)}


def _known_faces(model: FaceModel) -> np.ndarray:
    """(genders, size, size, 3) uint8: face 0 of seed 0, attempt 0, of each gender; zeros where no real face has it."""
    spec = model.spec
    known = np.zeros((spec.gender.size, spec.size, spec.size, 3), np.uint8)
    for code, gender in enumerate(spec.gender.values):
        try:
            one = model.draw(0, gender=gender)
        except InputError:  # a gender without styles cannot be drawn, and is not offered
            continue
        known[code] = model.render(one.noise[None], [code], one.style[None])[0]
    return known
