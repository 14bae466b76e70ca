"""Files below a root, a folder of this machine or a prefix of an object store: read, put, create, list, delete.

Imports nothing of Muster: it ships with packs, whose models are read by the same code. Nothing is renamed or appended
to, since object stores can do neither: a thing of many files is whole when the one that names the others is there.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

from .object_store import PastTheEnd, object_store, system_errors  # relative: a logged pack is another package

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore


YOUNG = timedelta(hours=1)
"""A file that is older is written anew by whoever is about to refer to it: what is old may be swept."""


class Listed(NamedTuple):
    """A file as a listing has it."""

    path: str
    """Below the root."""
    size: int
    modified: datetime
    tag: str = ""
    """What an object store gives to each content of it."""

    @property
    def is_young(self) -> bool:
        """Whether it was written so lately that nobody sweeps it for long."""
        return datetime.now(UTC) - self.modified < YOUNG


@dataclass(frozen=True)
class Files:
    """The files below a root. Plain data: it travels to executors, which have credentials of their own."""

    root: str
    """An absolute path, or `s3://bucket/prefix`; without a trailing slash."""

    @property
    def is_folder(self) -> bool:
        """Whether they are files of this machine."""
        return "://" not in self.root

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return a file's bytes, or those from `offset`, fewer than `length` where it ends before.

        Raises:
            FileNotFoundError: when there is none.
            OSError: when it is not given.
        """
        if self.is_folder:
            with self._local(path).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if length is None else length)
        with suppress(PastTheEnd), system_errors(f"{self.root}/{path}"):
            if length is None:
                return bytes(self._remote.get(_below(path)).bytes())[offset:]
            return bytes(self._remote.get_range(_below(path), start=offset, length=length)) if length else b""
        return b""

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return several pieces of a file, each an offset and a length, in few requests where they are near.

        Raises:
            FileNotFoundError: when there is none.
            OSError: when it is not given.
        """
        if self.is_folder:
            with self._local(path).open("rb") as file:
                return [file.read(length) for offset, length in ranges if file.seek(offset) >= 0]
        starts, lengths = [start for start, _ in ranges], [length for _, length in ranges]
        try:
            with system_errors(f"{self.root}/{path}"):
                return [bytes(piece) for piece in self._remote.get_ranges(_below(path), starts=starts, lengths=lengths)]
        except BaseException as error:
            if not isinstance(error, PastTheEnd) and type(error).__name__ != "PanicException":  # obstore's own fault
                raise
            return [self.read(path, *piece) for piece in ranges]  # of a file that was cut off

    def put(self, path: str, data: bytes | IO[bytes]) -> None:
        """Write a file, whole or not at all, over one that is there.

        Raises:
            OSError: when it cannot be.
        """
        if self.is_folder:
            with self._part(path, data) as part:
                part.replace(self._local(path))
        else:
            with system_errors(f"{self.root}/{path}"):
                self._remote.put(_below(path), data)

    def create(self, path: str, data: bytes | IO[bytes]) -> bool:
        """Write a file, whole or not at all, where there is none of the name; tell whether it was written.

        Of many that do so at once, one is told that it was.

        Raises:
            OSError: when it cannot be.
        """
        if self.is_folder:
            with self._part(path, data) as part:
                return _linked(part, self._local(path))
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with system_errors(f"{self.root}/{path}"):
            try:
                self._remote.put(_below(path), data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def listed(self, below: str = "") -> Iterator[Listed]:
        """Yield all files below a folder, in no order; none where there is no such folder."""
        if self.is_folder:
            yield from self._walk(self._local(below) if below else Path(self.root))
            return
        with system_errors(f"{self.root}/{below}"):
            for found in self._remote.list(_below(below) if below else None):
                yield from map(_as_listed, found)

    def half_written(self, below: str) -> Iterator[Listed]:
        """Yield the files below a folder of this machine that whoever was writing them has not finished, or left."""
        for at, _, names in os.walk(self._local(below)) if self.is_folder else ():
            for name in filter(_is_part, names):
                with suppress(FileNotFoundError):  # finished since
                    yield self._listed(Path(at, name))

    def folder(self, below: str) -> tuple[list[str], list[Listed]]:
        """Return the folders and the files in a folder of an object store, by their paths."""
        with system_errors(f"{self.root}/{below}"):
            found = self._remote.list_with_delimiter(_below(below) if below else None)
        return list(found["common_prefixes"]), [_as_listed(item) for item in found["objects"]]

    def about(self, path: str) -> Listed | None:
        """Return what a listing would have of a file, None where there is none."""
        try:
            if self.is_folder:
                file = self._local(path)
                return None if file.is_dir() else self._listed(file)
            with system_errors(f"{self.root}/{path}"):
                item = self._remote.head(_below(path))
            return _as_listed(item)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def delete(self, path: str) -> None:
        """Delete a file; one that is not there is as good as deleted.

        Raises:
            OSError: when it cannot be.
        """
        with suppress(FileNotFoundError):
            if self.is_folder:
                self._local(path).unlink()
                with suppress(OSError):  # an object store has no empty folders
                    self._local(path).parent.rmdir()
            else:
                with system_errors(f"{self.root}/{path}"):
                    self._remote.delete(_below(path))

    @property
    def _remote(self) -> ObjectStore:
        return object_store(self.root)

    def _local(self, path: str) -> Path:
        return Path(self.root, _below(path))

    @contextmanager
    def _part(self, path: str, data: bytes | IO[bytes]) -> Iterator[Path]:
        """Give a file beside `path` with the data, safely on disk; remove it in the end where it is there still."""
        target = self._local(path)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            with _opened_below_a_folder(part) as file:
                file.write(data) if isinstance(data, bytes) else shutil.copyfileobj(data, file, 2**20)
                file.flush()
                os.fsync(file.fileno())
            yield part
        finally:
            part.unlink(missing_ok=True)

    def _walk(self, folder: Path) -> Iterator[Listed]:
        for at, _, names in os.walk(folder):
            for name in names:
                if not _is_part(name):
                    with suppress(FileNotFoundError):  # deleted since
                        yield self._listed(Path(at, name))

    def _listed(self, file: Path) -> Listed:
        stat = file.stat()
        modified = datetime.fromtimestamp(stat.st_mtime, UTC)
        return Listed(file.relative_to(self.root).as_posix(), stat.st_size, modified)


def _is_part(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part")


def file_at(place: str) -> tuple[Files, str]:
    """Return the files among which a path of this machine, or a URI, is one, and its path below their root."""
    absolute = place if "://" in place else str(Path(place).absolute())
    root, _, name = absolute.rpartition("/")
    return Files(root or "/"), name


def in_bucket(place: str) -> tuple[Files, str]:
    """Return the files of a URI's bucket, and its path there, as it is written: in a root it would be decoded."""
    scheme, _, rest = place.partition("://")
    bucket, _, path = rest.partition("/")
    return Files(f"{scheme}://{bucket}"), path.rstrip("/")


def _as_listed(item: ObjectMeta) -> Listed:
    return Listed(item["path"], item["size"], item["last_modified"], item["e_tag"] or "")


def _below(path: str) -> str:
    """Return a path below the root as it is asked for.

    Raises:
        FileNotFoundError: when it leads out of it: there is no such file here.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or "\0" in path:
        raise FileNotFoundError(f"'{path}' is no path of a file below the root")
    return parts.as_posix()


def _opened_below_a_folder(file: Path) -> IO[bytes]:
    """Open a new file, its folder made: whoever deletes the last other file of it takes it away, perhaps just now."""
    for _ in range(20):
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return file.open("xb")
    return file.open("xb")


def _linked(part: Path, target: Path) -> bool:
    """Give a finished file its name where there is none of it."""
    try:
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links, a mounted object store say: then one writer at a time
        try:
            target.open("xb").close()
        except FileExistsError:
            return False
        part.replace(target)
    return True
