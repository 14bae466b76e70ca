"""What lies at a path of this machine, or at the URI of an object store: which names, and in what state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from muster.settings.places import scheme_of
from muster.storage.files import Listed, in_bucket


class State(NamedTuple):
    """A file as the system has it; None of both numbers where it is not there, as of a link that leads nowhere."""

    bytes: int | None
    changed: int | None
    """Nanoseconds since 1970."""
    tag: str = ""
    """What an object store gives to each content: its times are of whole seconds."""

    @property
    def stamp(self) -> str:
        """What tells this content from another of the same size."""
        return " ".join(filter(None, [str(self.changed), self.tag]))


class Entry(NamedTuple):
    """What a folder has under a name."""

    name: str
    is_folder: bool
    state: State | None = None
    """A file's, where listing it tells it."""


def entries(folder: str) -> Iterator[Entry]:
    """Yield what is in a folder; nothing where there is no such folder.

    Raises:
        OSError: when it cannot be listed.
    """
    if scheme_of(folder) is None:
        with suppress(FileNotFoundError), os.scandir(folder) as found:
            for entry in found:
                yield Entry(entry.name, entry.is_dir())
        return
    files, path = in_bucket(folder)
    folders, objects = files.folder(path)
    yield from (Entry(name.rstrip("/").rpartition("/")[2], True) for name in folders)
    for item in objects:
        if item.path.strip("/") != path.strip("/"):  # a key that ends in '/', by which consoles mark a folder
            yield Entry(item.path.rpartition("/")[2], False, _of_object(item))


def is_folder(place: str) -> bool | None:
    """Tell whether there is a folder of that name, or else a file: None without either."""
    if scheme_of(place) is None:
        return os.path.isdir(place) if os.path.lexists(place) else None
    files, path = in_bucket(place)
    if files.about(path) is not None:
        return False
    return True if any(True for _ in files.listed(path)) else None


def state_of(file: str) -> State:
    """Return a file's state."""
    if scheme_of(file) is not None:
        files, path = in_bucket(file)
        item = files.about(path)
        return State(None, None) if item is None else _of_object(item)
    try:
        stat = os.stat(file)
    except FileNotFoundError:
        return State(None, None)
    return State(stat.st_size, stat.st_mtime_ns)


def _of_object(item: Listed) -> State:
    return State(item.size, int(item.modified.timestamp()) * 10**9, item.tag)
