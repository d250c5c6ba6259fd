"""Answers that were given lately, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["ByteCache"]

_OVERHEAD = 200
"""About what a key and its place take, bytes."""


class ByteCache:
    """The values used last by key. `size` never exceeds `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._values: OrderedDict[str, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> bytes | None:
        """The value, which becomes the latest used."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep a value; those unused for longest go. One that does not fit at all is not kept."""
        self.size -= self._cost(self._values.pop(key, None))
        if self._cost(value) > self.limit:
            return
        self._values[key] = value
        self.size += self._cost(value)
        while self.size > self.limit:
            _, dropped = self._values.popitem(last=False)
            self.size -= self._cost(dropped)

    @staticmethod
    def _cost(value: bytes | None) -> int:
        return 0 if value is None else len(value) + _OVERHEAD
