"""The stored bytes of models, fetched a few requests at a time. Imports nothing of Muster: it ships with every pack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class Readable(Protocol):
    """The files that shards are among: `Files`."""

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Return some bytes of a file."""

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return several pieces of a file, each an offset and a length."""


class Place(NamedTuple):
    """Where a model's bytes are."""

    shard: str
    """A path below the root of its files."""
    offset: int
    length: int


class StoredModels:
    """Reads models; those that are wanted soon in one request a shard."""

    def __init__(self, files: Readable) -> None:
        self._files = files
        self._ahead: dict[Place, bytes] = {}

    def fetch(self, places: Iterable[Place]) -> None:
        """Read what is wanted next, in place of what was fetched before.

        What is not there is passed over: `read` tells it of the one that asks for it.

        Raises:
            OSError: when the store does not give what it has.
        """
        self._ahead = {}
        by_shard: dict[str, list[Place]] = {}
        for place in places:
            by_shard.setdefault(place.shard, []).append(place)
        for shard, wanted in by_shard.items():
            try:
                read = self._files.read_ranges(shard, [place[1:] for place in wanted])
            except FileNotFoundError:
                continue
            self._ahead.update(zip(wanted, read, strict=True))

    def read(self, place: Place) -> bytes:
        """Return a model's bytes, as they are.

        Raises:
            OSError: when the store does not give them; FileNotFoundError when there is no such shard.
        """
        ahead = self._ahead.pop(place, None)
        return self._files.read(*place) if ahead is None else ahead
