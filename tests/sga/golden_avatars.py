"""What the model that ships must draw for ever. To pin a new default model: python tests/sga/golden_avatars.py

`golden/latents.json` holds, by model and by the hash of what decides latents, the attempt, the gender and digests of noise and
style of IDs and seeds; `golden/faces.png` the first faces side by side.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sga import FaceModel
from sga.generation import Latents
from sga.model_folder import ModelFolder

FOLDER = Path(__file__).parent / "golden"
LATENTS, FACES = FOLDER / "latents.json", FOLDER / "faces.png"
IDS: tuple[tuple[str, str | None], ...] = (
    *(("user-42", None), ("user-43", None), ("user-42", "female"), ("user-42", "male"), ("alice@example.com", None)),
    *(("Ünïcödé 日本", None), ("0", None), (" ", "male")),
)
SEEDS: tuple[tuple[int, int, int, str | None, dict[str, str]], ...] = (
    *((7, 0, 0, "female", {}), (7, 1, 3, "male", {}), (0, 0, 0, None, {}), (2**64 - 1, 99, 15, None, {})),
    (3, 0, 0, "female", {"hair_color": "pink", "eye_color": "blue"}),
)
SHOWN = 4


def key(folder: ModelFolder) -> str:
    """Name of a model, and the hash of the files that decide latents."""
    files = folder.spec.files
    return f"{folder.spec.name} {hashlib.sha256((files['styles.npz'] + files['critic.npz']).encode()).hexdigest()[:16]}"


def vectors(model: FaceModel) -> dict[str, dict[str, Any]]:
    """What each ID and seed gives."""
    found = {}
    for identity, gender in IDS:
        attempt = model.avatar_attempt(identity, gender)
        found[f"id {identity} {gender or 'any'}"] = _told(attempt, model.avatar_latents(identity, gender))
    for seed, index, attempt, gender, where in SEEDS:
        name = f"seed {seed} {index} {attempt} {gender or 'any'} {where or ''}".strip()
        found[name] = _told(attempt, model.draw(seed, index, attempt, gender, where))
    return found


def faces(model: FaceModel) -> np.ndarray:
    """(size, SHOWN * size, 3) uint8."""
    ids, genders = zip(*IDS[:SHOWN], strict=True)
    return np.concatenate([face.image for face in model.avatars(ids, genders)], axis=1)


def _told(attempt: int, latents: Latents) -> dict[str, Any]:
    digests = {
        name: hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()[:16]
        for name, values in (("noise", latents.noise), ("style", latents.style))
    }
    first = [int(value) for value in latents.noise[:4].astype(np.float64) * 2**24]
    return {"attempt": attempt, "gender": latents.gender, **digests, "noise_first": first}


if __name__ == "__main__":
    shipped = FaceModel.load(engine="onnxruntime")
    pinned = json.loads(LATENTS.read_text(encoding="utf-8")) if LATENTS.exists() else {}
    pinned[key(shipped.folder)] = vectors(shipped)
    LATENTS.write_text(json.dumps(pinned, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    Image.fromarray(faces(shipped)).save(FACES, compress_level=9)
