"""Open a file and give its bytes as UTF-8: decompressed by its name, from the declared encoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa
from pyarrow.fs import FileSystem, FileType

from muster.settings.places import scheme_of
from muster.storage.files import in_bucket
from muster.storage.object_store import NotAvailable
from muster.storage.remote_file import remote_file
from muster.workload.source import compression


class BadContent(ValueError):
    """Raised for a file that cannot be taken: with the problem."""


class Stream(Protocol):
    """What bytes are read from."""

    def read(self, nbytes: int, /) -> bytes:
        """Return the next bytes, none at the end."""


NO_FILE = {
    FileType.Directory: "is a folder, no file: of a folder of files, write '/*' behind it in the pattern",
    FileType.Unknown: "is a pipe or a device, no file",
}
"""Why there is nothing to read, though something has the name of a landed file."""

_UTF_8 = b"\xef\xbb\xbf"
_OTHERS = {
    b"\xff\xfe": "UTF-16 or UTF-32; write it as UTF-8, or declare what it is: 'encoding: utf-16'",
    b"\xfe\xff": "UTF-16 or UTF-32; write it as UTF-8, or declare what it is: 'encoding: utf-16'",
    b"\x1f\x8b": "gzip, which its name does not say; have its name end with '.gz'",
    b"\x28\xb5\x2f\xfd": "zstd, which its name does not say; have its name end with '.zst'",
    b"BZh": "bzip2, which is not read; compress it by gzip or zstd",
    b"PAR1": "parquet; declare 'format: parquet'",
    b"PK\x03\x04": "a zip archive; deliver the file that is in it",
}
"""How files begin that are not of text, or of another."""


def opened_file(file: str) -> pa.NativeFile:
    """Open a file, or an object by its URI.

    Raises:
        BadContent: when it is a folder or empty.
        OSError: when it is not there, or not given.
    """
    if scheme_of(file) is not None:
        remote = remote_file(*in_bucket(file))
        _check_size(remote.size())
        return remote
    filesystem, path = FileSystem.from_uri(file)
    info = filesystem.get_file_info(path)
    if info.type in NO_FILE:
        raise BadContent(NO_FILE[info.type])
    _check_size(info.size)
    return filesystem.open_input_file(path)


def _check_size(size: int | None) -> None:
    if size == 0:
        raise BadContent("is empty (0 bytes)")


@contextmanager
def opened_text(file: str, encoding: str) -> Iterator[Stream]:
    """Open a file of text as UTF-8. Of a file that is UTF-8 the bytes come as they are: see `check_utf_8`.

    Raises:
        BadContent: when it is no file, empty or cut off, or not of its encoding.
        OSError: when the system does not give it.
    """
    kind = compression(file)
    try:
        with opened_file(file) as opened, pa.CompressedInputStream(opened, kind) if kind else opened as stream:
            yield stream if codecs.lookup(encoding).name == "utf-8" else Decoded(stream, encoding)
    except NotAvailable:  # it says nothing of what the file holds
        raise
    except OSError as error:
        if error.errno is not None:  # the system refuses it: that says nothing of what it holds
            raise
        raise BadContent(f"is cut off or is not {kind or 'readable'} ({error})") from error


def without_mark(start: bytes) -> bytes:
    """Return a text's first bytes without the mark that may stand before it.

    Raises:
        BadContent: when it is no text.
    """
    for mark, other in _OTHERS.items():
        if start.startswith(mark):
            raise BadContent(f"is {other}")
    return start.removeprefix(_UTF_8)


class Decoded:
    """A stream of another encoding as UTF-8."""

    def __init__(self, stream: Stream, encoding: str) -> None:
        self._stream, self._encoding = stream, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._is_utf_8 = codecs.lookup(encoding).name.startswith("utf-8")
        self._lines, self._started = 0, False

    def read(self, nbytes: int, /) -> bytes:
        """Return the next text, none at the end.

        Raises:
            BadContent: with the line that is not of the encoding.
        """
        text, content = "", b"..."
        while content and not text:
            content = bytes(self._stream.read(nbytes))
            if not self._started and content.startswith(_UTF_8) and not self._is_utf_8:
                raise BadContent(f"is UTF-8, as its first bytes say, and is declared as {self._encoding}")
            self._started = True
            try:
                text = self._decoder.decode(content, final=not content)
            except UnicodeError as error:
                raise BadContent(self._problem(error)) from error
        self._lines += text.count("\n")
        return text.encode("utf-8", errors="surrogatepass")

    def _problem(self, error: UnicodeError) -> str:
        where = ""
        if isinstance(error, UnicodeDecodeError):
            before = error.object[: error.start].decode(self._encoding, errors="replace")
            where = f" in line {self._lines + before.count(chr(10)) + 1} (byte 0x{error.object[error.start]:02x})"
        return f"holds text that is not {self._encoding}{where}"


def not_utf_8(file: str) -> BadContent:
    """Return what is wrong with a file that is not UTF-8: it is read again until the line is known."""
    advice = "; write it as UTF-8, or declare what it is: 'encoding: latin-1'"
    try:
        with opened_text(file, "utf-8") as stream:
            decoded = Decoded(stream, "utf-8")
            while decoded.read(2**20):
                pass
    except BadContent as error:
        return BadContent(str(error).replace("utf-8", "UTF-8") + advice)
    return BadContent(f"holds text that is not UTF-8{advice}")
