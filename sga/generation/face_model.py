"""`FaceModel`: a model folder, ready to draw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.errors import ExhaustedError, InputError
from sga.generation.conditions import Conditions, Latents, StylePrior, draw, resolve
from sga.generation.criterion import Criterion
from sga.generation.critic import LatentCritic, quantise
from sga.generation.face import Face, Origin, Verdict
from sga.generation.pictures import as_images
from sga.generation.rng import Position, id_subject, seed_subject
from sga.generation.sessions import Network
from sga.generation.until_good import OnExhausted, Report, until_good
from sga.model_folder import ModelFolder, read_arrays

__all__ = ["FaceModel"]


class FaceModel:
    """Draws and judges faces with the networks of one model folder.

    >>> model = FaceModel.load()
    >>> faces = model.generate(gender="female", count=16, seed=7)
    >>> faces[0].save("face.png")
    """

    def __init__(self, folder: ModelFolder, *, threads: int | None = None) -> None:
        """As `load`, from a folder whose model.json was read already."""
        spec = self.spec = folder.spec
        self.folder = folder
        content = folder.read_all()
        latents: dict[str, tuple[int, ...]] = {"noise": (spec.noise_size,), "gender": ()}
        if spec.style_size:
            latents["style"] = (spec.style_size,)
        images: dict[str, tuple[int, ...]] = {"image": (self.size, self.size, 3)}
        told = {"probabilities", "style", "quality"}
        batch = spec.micro_batch
        with ThreadPoolExecutor(2) as pool:  # the runtime optimises both graphs at the same time
            judge = pool.submit(Network, content["judge.onnx"], "judge.onnx", batch, images, told, threads)
            self._generator = Network(content["generator.onnx"], "generator.onnx", batch, latents, {"image"}, threads)
            self._judge = judge.result()
        self._prior = StylePrior(spec, read_arrays(content["styles.npz"], "styles.npz") if spec.style_size else {})
        self._critic: LatentCritic | None = None
        if "critic.npz" in content:
            inputs = spec.noise_size + spec.style_size + spec.gender.size
            self._critic = LatentCritic(read_arrays(content["critic.npz"], "critic.npz"), inputs)
        self._columns = spec.columns()
        self._origin = Origin(folder.hash, spec.algorithm, spec.licence or f"See card.md of the model {spec.name}.")

    @classmethod
    def load(cls, path: str | Path | None = None, *, threads: int | None = None) -> FaceModel:
        """Load a model folder (None: the model that ships). threads: None = all cores; pixels do not depend on it.

        Raises:
            ModelError: a file is missing, was changed since the export, or is of another version.
        """
        return cls(ModelFolder.load(path), threads=threads)

    def __repr__(self) -> str:
        return f"FaceModel({self.spec.name!r}, size={self.size}, hash={self.hash!r})"

    @property
    def hash(self) -> str:
        """16 hex digits that name the model folder with all its files."""
        return self.folder.hash

    @property
    def size(self) -> int:
        """Edge of a face in pixels."""
        return self.spec.size

    # -- faces -------------------------------------------------------------------------------------------------------------

    def generate(
        self,
        gender: str | None = None,
        count: int = 1,
        seed: int = 0,
        min_quality: float | str | None = None,
        max_attempts: int | None = None,
        on_exhausted: OnExhausted = "best",
        where: Mapping[str, str] | None = None,
        report: Report | None = None,
    ) -> list[Face]:
        """`count` faces, each drawn again until the judge agrees on gender, attributes and quality; sorted by index.

        gender: a value of the schema's gender; None or "any" = each face draws its own.
        seed: 0 … 2**64 - 1. Face i of a seed is the same whatever `count` is.
        min_quality: in [0, 1], or a level by name ("low", "median", "high"); None = the model's calibrated threshold of each
            gender, which the highest level is never below.
        max_attempts: draws a face may take; None = the model's default.
        on_exhausted: what becomes of a face that never passed: "best" = its best attempt, with `accepted` False; "gap" = it is
            left out; "error" = ExhaustedError.
        where: further values by attribute, such as {"hair_color": "blue"}: the judge must see them. Where the model's
            style_prior is "empirical", styles come from real faces that have them; else it takes more attempts.
        report: filled in with what was done, where given.

        The judge sees pixels, and these differ by up to 2/255 between machines: a face whose score is very close to a threshold
        may take another attempt elsewhere (`attempt` tells which). `avatar` rules that out.

        Raises:
            InputError: a count below 1, an unknown gender, attribute, value or level, or a number out of its range.
            ExhaustedError: see on_exhausted.
        """
        faces = self.stream(gender, count, seed, min_quality, max_attempts, on_exhausted, where, report)
        return sorted(faces, key=lambda face: face.index)

    def stream(
        self,
        gender: str | None = None,
        count: int = 1,
        seed: int = 0,
        min_quality: float | str | None = None,
        max_attempts: int | None = None,
        on_exhausted: OnExhausted = "best",
        where: Mapping[str, str] | None = None,
        report: Report | None = None,
    ) -> Iterator[Face]:
        """As `generate`, one face at a time as they are done: memory does not grow with `count`. Arguments are checked now."""
        if count < 1:
            raise InputError(f"Expected a count of at least 1, found {count}. Type, for example: --count 16")
        attempts = self.spec.defaults.max_attempts if max_attempts is None else max_attempts
        if attempts < 1:
            raise InputError(f"Expected at least 1 attempt, found {attempts}. Type, for example: --max-attempts 16")
        if on_exhausted not in ("best", "gap", "error"):
            raise InputError(f"Expected on_exhausted to be best, gap or error, found {on_exhausted!r}.")
        conditions = resolve(self.spec, gender, where)
        for code in range(self.spec.gender.size) if conditions.gender is None else [conditions.gender]:
            self._prior.rows(code, conditions.where)
        criterion = Criterion.of(self.spec, min_quality, conditions.where)
        subject = seed_subject(seed)
        return self._stream(count, seed, subject, conditions, criterion, attempts, on_exhausted, report)

    def _stream(
        self,
        count: int,
        seed: int,
        subject: str,
        conditions: Conditions,
        criterion: Criterion,
        max_attempts: int,
        on_exhausted: OnExhausted,
        report: Report | None,
    ) -> Iterator[Face]:
        def judge(pairs: Sequence[tuple[int, int]]) -> list[Face]:
            positions = [Position(subject, index, attempt) for index, attempt in pairs]
            latents = [draw(self._prior, conditions, position) for position in positions]
            return [replace(face, seed=seed) for face in self._faces(positions, latents, criterion)]

        outcomes = until_good(count, judge, batch=self.spec.micro_batch, max_attempts=max_attempts, report=report)
        for outcome in outcomes:
            face = outcome.candidate
            if not face.accepted and on_exhausted == "error":
                raise ExhaustedError(
                    f"Expected face {face.index} of seed {seed} to pass the judge within {max_attempts} attempts, found "
                    + criterion.explain(face)
                )
            if face.accepted or on_exhausted == "best":
                yield replace(face, attempts=outcome.attempts)

    def avatar(self, identity: str, gender: str | None = None) -> Face:
        """The face of an ID: the same for ever, on every machine. Different IDs have different faces.

        identity: any non-empty text, compared as UTF-8 bytes; gender: None or "any" = the ID decides that too.
        Which attempt is taken is decided by the latent critic in integers (attempt 0 where the model has none); the judge only
        reports, so `accepted` may be False.

        Raises:
            InputError: an empty ID or an unknown gender.
        """
        return self.avatars([identity], gender)[0]

    def avatars(self, identities: Sequence[str], gender: str | None = None) -> list[Face]:
        """As `avatar`, of many IDs: the same faces, several times faster than one by one."""
        conditions = resolve(self.spec, gender)
        positions = [Position(id_subject(one), 0, self.avatar_attempt(one, gender)) for one in identities]
        if not positions:
            return []
        criterion = Criterion.of(self.spec)
        faces = self._faces(positions, [draw(self._prior, conditions, position) for position in positions], criterion)
        digests = [hashlib.blake2b(position.subject.encode(), digest_size=8).hexdigest() for position in positions]
        return [replace(face, identity=digest) for face, digest in zip(faces, digests, strict=True)]

    def avatar_attempt(self, identity: str, gender: str | None = None) -> int:
        """The attempt an ID takes: the highest integer score among the first `avatar_attempts`, the earliest of equals."""
        if self._critic is None:
            return 0
        subject, conditions = id_subject(identity), resolve(self.spec, gender)
        positions = [Position(subject, 0, attempt) for attempt in range(self.spec.avatar_attempts)]
        latents = [draw(self._prior, conditions, position) for position in positions]
        return int(np.argmax(self._critic(quantise(latents, self.spec.gender.size))))

    # -- parts -------------------------------------------------------------------------------------------------------------

    def draw(
        self, seed: int, index: int = 0, attempt: int = 0, gender: str | None = None, where: Mapping[str, str] | None = None
    ) -> Latents:
        """The latents of one attempt: noise (noise_size,), style (style_size,), gender code; equal on every machine."""
        return draw(self._prior, resolve(self.spec, gender, where), Position(seed_subject(seed), index, attempt))

    def render(self, noise: np.ndarray, gender: np.ndarray | Sequence[int], style: np.ndarray | None = None) -> np.ndarray:
        """(n, size, size, 3) uint8 RGB of noise (n, noise_size), gender codes (n,), style (n, style_size); nothing is judged.

        Raises:
            InputError: other shapes or codes.
        """
        noise, codes = np.asarray(noise, np.float32), np.asarray(gender, np.int64)
        inputs: dict[str, np.ndarray] = {"noise": noise, "gender": codes}
        shapes: dict[str, tuple[int, ...]] = {"noise": (len(noise), self.spec.noise_size), "gender": (len(noise),)}
        if self.spec.style_size:
            inputs["style"] = np.asarray([] if style is None else style, np.float32)
            shapes["style"] = (len(noise), self.spec.style_size)
        found = {name: value.shape for name, value in inputs.items()}
        if found != shapes or not len(noise):
            raise InputError(f"Expected latents of shapes {shapes} with at least one row, found {found}.")
        if codes.min() < 0 or codes.max() >= self.spec.gender.size:
            raise InputError(f"Expected gender codes 0 … {self.spec.gender.size - 1}, found {codes.min()} … {codes.max()}.")
        return self._generator(**inputs)["image"]

    def judge(self, images: np.ndarray | Iterable[str | Path | np.ndarray]) -> Verdict:
        """Gender, attributes, style and quality of pictures: (n, size, size, 3) uint8 RGB, or a list of such and of paths.

        Raises:
            InputError: another shape or dtype, or a file that is no picture.
        """
        told = self._judge(image=as_images(images, self.size))
        probabilities = {}
        for attribute in self.spec.judged:
            columns = told["probabilities"][:, self._columns[attribute.name]]
            probabilities[attribute.name] = columns if attribute.kind == "exclusive" else columns[:, 0]
        codes = probabilities[self.spec.gender.name].argmax(axis=1)
        gender = tuple(self.spec.gender.values[code] for code in codes)
        return Verdict(probabilities, told["style"], told["quality"], gender)

    def _faces(self, positions: Sequence[Position], latents: Sequence[Latents], criterion: Criterion) -> list[Face]:
        """Render and judge attempts."""
        style = np.stack([one.style for one in latents])
        images = self.render(np.stack([one.noise for one in latents]), [one.gender for one in latents], style)
        verdict = self.judge(images)
        faces = []
        for row, (position, one) in enumerate(zip(positions, latents, strict=True)):
            seen = {name: values[row].copy() for name, values in verdict.probabilities.items()}
            quality = float(verdict.quality[row])
            failed = criterion.failed(seen, quality, one.gender)
            disagreed = [name for name in failed if name != self.spec.quality.name]
            right = self.spec.gender.name not in disagreed
            faces.append(
                Face(
                    image=images[row].copy(),
                    gender=self.spec.gender.values[one.gender],
                    style=one.style,
                    quality=quality,
                    probabilities=seen,
                    failed=failed,
                    index=position.index,
                    attempt=position.attempt,
                    attempts=1,
                    origin=self._origin,
                    merit=(float(right), -float(len(disagreed)), quality),
                )
            )
        return faces
