"""Faces on their way from the networks to where they are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Self, TypeAlias

from sga.generation.face import Face
from sga.generation.sink import Sink

__all__ = ["FaceStream"]

Draw: TypeAlias = Callable[[Callable[[int], bool], Callable[[int], None]], Iterator[Face]]
"""Draws faces: (whether to skip an index, what to do with the index of a face that never passed) → faces as they are done."""


class FaceStream(Iterator[Face]):
    """Faces as they are done: iterate over them, or have them written with `into`.

    expected: metadata that all of them carry.
    """

    def __init__(self, draw: Draw, expected: Mapping[str, str]) -> None:
        self.expected = dict(expected)
        self._draw = draw
        self.there = 0
        """Faces that `into` did not draw, for the sink had them."""
        self._faces: Iterator[Face] | None = None

    @classmethod
    def of(cls, face: Face, end: Callable[[Face, Callable[[int], None]], Iterator[Face]]) -> Self:
        """The stream of a face that is drawn already. end: yields it, or tells of its index that it is left out."""
        metadata = face.metadata()
        expected = {key: metadata[key] for key in ("model", "algorithm", "gender", *face.how)}
        return cls(lambda skip, left_out: iter(()) if skip(face.index) else end(face, left_out), expected)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Face:
        if self._faces is None:
            self._faces = self._draw(lambda _: False, lambda _: None)
        return next(self._faces)

    def only(self, index: int) -> Face:
        """The face of an index alone; the others are not drawn.

        Raises:
            StopIteration: it never passed, and such faces are left out.
        """
        return next(self._draw(lambda one: one != index, lambda _: None))

    def changed(self, change: Callable[[Face], Face], expected: Mapping[str, str]) -> FaceStream:
        """The same faces, each changed as it is done. expected: metadata that all of them carry from then on, too."""
        return FaceStream(lambda skip, left_out: map(change, self._draw(skip, left_out)), {**self.expected, **expected})

    def into(self, sink: Sink, name: Callable[[int], str]) -> Iterator[Face]:
        """Draw the faces that an open sink lacks, write each, and hand it on. name: of the face of an index.

        Raises:
            InputError: something else has the name, or the place cannot be written.
        """
        left_out: deque[int] = deque()

        def skip(index: int) -> bool:
            found = sink.has(name(index))
            self.there += found
            return found

        for face in self._draw(skip, left_out.append):
            while left_out:
                sink.leave_out(name(left_out.popleft()))
            sink.write(face, name(face.index))
            yield face
        for index in left_out:
            sink.leave_out(name(index))
