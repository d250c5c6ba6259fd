"""The networks of a model folder, and drawing faces with them until the judge is content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace

import numpy as np

from configs.errors import ExhaustedError, InputError
from sga.generation.conditions import StylePrior, draw, resolve
from sga.generation.criterion import Criterion
from sga.generation.critic import LatentCritic
from sga.generation.engines import AUTO, choose_engine
from sga.generation.enlarge import Enlarger, check_size
from sga.generation.face import Face, Origin, Verdict
from sga.generation.face_stream import FaceStream
from sga.generation.latents import Latents
from sga.generation.pictures import Picture, as_images
from sga.generation.rng import Position, check_whole, seed_subject
from sga.generation.sessions import Network
from sga.generation.until_good import OnExhausted, Report, until_good
from sga.model_folder import UPSCALER, ModelFolder, ModelSpec, read_arrays

__all__ = ["Core", "Loop", "read_verdict"]


@dataclass(frozen=True)
class Loop:
    """How many faces are drawn from a seed, and how often each may be tried.

    Raises:
        InputError: no whole number or one out of its range, or another way to end than best, gap and error.
    """

    count: int
    seed: int
    max_attempts: int
    on_exhausted: OnExhausted
    report: Report | None = None

    def __post_init__(self) -> None:
        check_whole("count", self.count)
        check_whole("max_attempts", self.max_attempts)
        if self.count < 1:
            raise InputError(f"Expected a count of at least 1, found {self.count}. Type, for example: --count 16")
        if self.max_attempts < 1:
            raise InputError(f"Expected at least 1 attempt, found {self.max_attempts}. Type, for example: --max-attempts 16")
        if self.on_exhausted not in ("best", "gap", "error"):
            raise InputError(f"Expected on_exhausted to be best, gap or error, found {self.on_exhausted!r}.")
        seed_subject(self.seed)


def read_verdict(spec: ModelSpec, told: Mapping[str, np.ndarray]) -> Verdict:
    """What a judge's outputs say of n pictures: probabilities (n, width), style (n, features), quality (n,)."""
    probabilities, slices = {}, spec.columns()
    for attribute in spec.judged:
        columns = told["probabilities"][:, slices[attribute.name]]
        probabilities[attribute.name] = columns if attribute.kind == "exclusive" else columns[:, 0]
    codes = probabilities[spec.gender.name].argmax(axis=1)
    return Verdict(probabilities, told["style"], told["quality"], tuple(spec.gender.values[code] for code in codes))


class Core:
    """The two networks, the styles and the critic of a model folder."""

    def __init__(self, folder: ModelFolder, *, engine: str = AUTO, threads: int | None = None) -> None:
        """Read every file of a folder whose model.json was read already; engine and threads as in `FaceModel.load`."""
        spec = self.spec = folder.spec
        self.folder = folder
        content = folder.read_all()
        latents: dict[str, tuple[int, ...]] = {"noise": (spec.noise_size,), "gender": ()}
        if spec.style_size:
            latents["style"] = (spec.style_size,)
        images: dict[str, tuple[int, ...]] = {"image": (self.size, self.size, 3)}
        told = {"probabilities", "style", "quality"}
        batch, self.engine = spec.micro_batch, choose_engine(engine)
        shared = (threads, self.engine)
        with ThreadPoolExecutor(2) as pool:  # the engine optimises both graphs at the same time
            judge = pool.submit(Network, content["judge.onnx"], "judge.onnx", batch, images, told, *shared)
            self._generator = Network(content["generator.onnx"], "generator.onnx", batch, latents, {"image"}, *shared)
            self._judge = judge.result()
        self._lanes = self._generator.lanes.lanes
        self._pool = ThreadPoolExecutor(self._lanes, thread_name_prefix="faces")
        self._prior = StylePrior(spec, read_arrays(content["styles.npz"], "styles.npz") if spec.style_size else {})
        self._critic: LatentCritic | None = None
        if "critic.npz" in content:
            inputs = spec.noise_size + spec.style_size + spec.gender.size
            self._critic = LatentCritic(read_arrays(content["critic.npz"], "critic.npz"), inputs)
        self.enlarger = Enlarger(content.get(UPSCALER), threads)
        """Makes faces larger than they are drawn, by the folder's upscaler where it has one."""
        licence = spec.licence or f"See card.md of the model {spec.name}."
        self._origin = Origin(folder.hash, spec.algorithm, licence, spec.name, folder.drawing_hash)

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

    @property
    def rows(self) -> int:
        """Rows that keep every lane busy: whoever has many draws as many at a time. Results do not depend on it."""
        return self.spec.micro_batch * self._lanes

    def draw(
        self,
        seed: int,
        index: int = 0,
        attempt: int = 0,
        gender: str | None = None,
        where: Mapping[str, str] | None = None,
        truncation: float = 1.0,
    ) -> Latents:
        """The latents of one attempt: noise (noise_size,), style (style_size,), gender code; equal on every machine.

        Raises:
            InputError: what `FaceModel.generate` refuses, or an index or attempt that is no whole number.
        """
        check_whole("index", index)
        check_whole("attempt", attempt)
        conditions = resolve(self.spec, gender, where, truncation)
        return draw(self._prior, conditions, Position(seed_subject(seed), index, attempt))

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

    def render_latents(self, latents: Sequence[Latents]) -> np.ndarray:
        """(n, size, size, 3) uint8 RGB of n latents, as `render`; of none, an empty array."""
        if not latents:
            return np.zeros((0, self.size, self.size, 3), np.uint8)
        style = np.stack([one.style for one in latents])
        return self.render(np.stack([one.noise for one in latents]), [one.gender for one in latents], style)

    def judge(self, images: Picture | Iterable[Picture]) -> Verdict:
        """Gender, attributes, style and quality of pictures: (n, size, size, 3) uint8 RGB, or a list of paths, of faces and of
        (size, size, 3).

        Raises:
            InputError: another shape or dtype, a file that is no picture, or something else than a picture.
        """
        return read_verdict(self.spec, self._judge(image=as_images(images, self.size)))

    def resized(self, face: Face, size: int | None) -> Face:
        """The face at an edge of `size` px, 16 … 4096; None or its own size = the face as it is.

        A larger one is made by the model's upscaler, up to four times its edge, and brought to the very size by Lanczos'
        filter, which does all of it where the model has no upscaler; so is a smaller one. `how` of the face tells size and
        upscaler, and `again` draws it at that size; its latents and its verdict stay as they are.

        Raises:
            InputError: a size out of its range, or a face that is no longer as it was drawn.
            ModelError: upscaler.onnx is none.
        """
        if size is None or check_size(size) == len(face.image):
            return face
        if len(face.image) != self.size:
            raise InputError(f"Expected a face of {self.size} px, as drawn, found one of {len(face.image)} px. Draw it anew.")
        return replace(face, image=self.enlarger.to_size(face.image, size), how={**face.how, **self.size_notes(size)})

    def at_size(self, faces: FaceStream, size: int | None) -> FaceStream:
        """The faces of a stream, each `resized` as it is done.

        Raises:
            InputError: a size out of its range.
        """
        if size is None or check_size(size) == self.size:
            return faces
        return faces.changed(lambda face: self.resized(face, size), self.size_notes(size))

    def size_notes(self, size: int | None) -> dict[str, str]:
        """What faces of a size say of it, nothing of the model's own."""
        if size is None or check_size(size) == self.size:
            return {}
        return {"size": str(size), **({"upscaler": self.enlarger.name} if size > self.size else {})}

    def _loop(self, count: int, seed: int, max_attempts: int | None, on_exhausted: OnExhausted, report: Report | None) -> Loop:
        attempts = self.spec.defaults.max_attempts if max_attempts is None else max_attempts
        return Loop(count, seed, attempts, on_exhausted, report)

    def _until_good(
        self, loop: Loop, sample: Callable[[Position], Latents], criterion: Criterion, how: Mapping[str, str]
    ) -> FaceStream:
        """Faces as they are done. sample: the latents of a position, which must depend on the position alone; how: what they
        carry as metadata, `asked`, the gender, among it."""
        subject, batch = seed_subject(loop.seed), self.spec.micro_batch
        how = {**how, "criterion": f"{criterion.to_text(how['asked'])} attempts<={loop.max_attempts}"}

        def attempt(pairs: Sequence[tuple[int, int]]) -> list[Face]:
            positions = [Position(subject, index, attempt) for index, attempt in pairs]
            faces = self._faces(positions, [sample(position) for position in positions], criterion)
            return [replace(face, seed=loop.seed, how=how) for face in faces]

        def judge(pairs: Sequence[tuple[int, int]]) -> list[Face]:
            if len(pairs) <= batch:
                return attempt(pairs)
            parts = [pairs[start : start + batch] for start in range(0, len(pairs), batch)]
            running = [self._pool.submit(copy_context().run, attempt, part) for part in parts]
            return [face for part in running for face in part.result()]

        def draw(skip: Callable[[int], bool], left_out: Callable[[int], None]) -> Iterator[Face]:
            indices = (index for index in range(loop.count) if not skip(index))
            rows = min(self.rows, -(-loop.count // batch) * batch)  # one face does not draw ahead in every lane
            for outcome in until_good(indices, judge, batch=rows, max_attempts=loop.max_attempts, report=loop.report):
                face = outcome.candidate
                if not face.accepted and loop.on_exhausted == "error":
                    raise ExhaustedError(
                        f"Expected face {face.index} of seed {loop.seed} to pass the judge within {loop.max_attempts} "
                        f"attempts, found {criterion.explain(face)}"
                    )
                if face.accepted or loop.on_exhausted == "best":
                    yield replace(face, attempts=outcome.attempts)
                else:
                    left_out(face.index)

        common = {"model": self._origin.model, "algorithm": str(self._origin.algorithm), "seed": str(loop.seed)}
        return FaceStream(draw, {**common, **how})

    def _faces(
        self, positions: Sequence[Position], latents: Sequence[Latents], criterion: Criterion | None = None
    ) -> list[Face]:
        """Render attempts, and judge them where there is a criterion."""
        images = self.render_latents(latents)
        faces = [
            Face(
                image=images[row].copy(),
                gender=self.spec.gender.values[one.gender],
                style=one.style,
                quality=None,
                probabilities={},
                failed=(),
                index=position.index,
                attempt=position.attempt,
                attempts=1,
                origin=self._origin,
                latents=one,
            )
            for row, (position, one) in enumerate(zip(positions, latents, strict=True))
        ]
        return faces if criterion is None else self._judged(faces, images, criterion)

    def _judged(self, faces: Sequence[Face], images: np.ndarray, criterion: Criterion) -> list[Face]:
        """The faces with what the judge says of them."""
        verdict = self.judge(images)
        judged = []
        for row, face in enumerate(faces):
            seen = {name: values[row].copy() for name, values in verdict.probabilities.items()}
            quality = float(verdict.quality[row])
            failed = criterion.failed(seen, quality, self.spec.gender.code(face.gender))
            disagreed = [name for name in failed if name != self.spec.quality.name]
            right = self.spec.gender.name not in disagreed
            merit = (float(right), -float(len(disagreed)), quality)
            judged.append(replace(face, quality=quality, probabilities=seen, failed=failed, merit=merit))
        return judged
