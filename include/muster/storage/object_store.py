"""An object store by its root, and its errors as the system's. Imports nothing of Muster: it ships with packs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class NotAvailable(OSError):
    """Raised when an object store does not do what it is asked, whatever its reason but that there is no such file."""

    retryable = True


class NotAllowed(NotAvailable):
    """Raised when it will not do so before somebody has put something right: rights, a name, a bucket."""

    retryable = False


class PastTheEnd(NotAvailable):
    """Raised when all that is asked for of an object is behind its end."""


NO_HTTP = "AWS_ENDPOINT_URL is an http:// address; set AWS_ALLOW_HTTP=true"
CURES: dict[str, tuple[type[NotAvailable], str]] = {
    "NoSuchBucket": (NotAllowed, "there is no such bucket; create it, or write its name right"),
    "URL scheme is not allowed": (NotAllowed, NO_HTTP),
    "HTTP error: builder error": (NotAllowed, NO_HTTP),
    "Generic Config error": (
        NotAllowed,
        "a variable (AWS_..., AZURE_..., GOOGLE_...) has a value that is none of it",
    ),
    "169.254.169.254": (
        NotAvailable,
        "there are no credentials: the machine gives none, and this process's environment has none (AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY)",
    ),
}
"""What is said -> what it is, in words that say what to do."""


@lru_cache(maxsize=16)
def object_store(root: str) -> ObjectStore:
    """Return the store of a root, with what the environment says of endpoint, region and credentials."""
    from obstore.store import from_url

    return from_url(root)


@contextmanager
def system_errors(place: str) -> Iterator[None]:
    """Turn an object store's errors into the system's."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise of_the_system(place, error) from shown_cause(error)


def of_the_system(place: str, error: Exception) -> OSError:
    """Return what obstore or delta-rs says of a place, as one of the system's errors."""
    from obstore.exceptions import (
        InvalidPathError,
        NotFoundError,
        NotSupportedError,
        PermissionDeniedError,
        UnauthenticatedError,
    )

    whole, place = redacted(str(error)), redacted(place)
    for words, (kind, cure) in CURES.items():
        if words in whole:
            return kind(f"the object store does not give '{place}': {cure}")
    if isinstance(error, (NotFoundError, FileNotFoundError)):
        return FileNotFoundError(f"there is no file '{place}'")
    if "416 Range Not Satisfiable" in whole:
        return PastTheEnd(f"'{place}' ends before")
    lasting = isinstance(error, (PermissionDeniedError, UnauthenticatedError, InvalidPathError, NotSupportedError))
    problem = f"the object store does not give '{place}': {type(error).__name__}: {_in_one_line(whole)}"
    return NotAllowed(problem) if lasting else NotAvailable(problem)


PASSWORD = re.compile(r"(?<=://)[^\s/@:]*:[^\s/]*@")
"""User and password in an address, as AWS_ENDPOINT_URL may have them."""


def redacted(text: str) -> str:
    """Return a text without the passwords in its addresses."""
    return PASSWORD.sub("***@", text)


def shown_cause(error: Exception) -> Exception | None:
    """Return an error as the cause of what is told of it: None where it shows a password, as a log shows causes."""
    return error if redacted(str(error)) == str(error) else None


def _in_one_line(text: str) -> str:
    """Return what is said: delta-rs says it on many coloured lines; obstore on the first, then how it came to it."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = plain.splitlines() if "↳" in plain else plain.splitlines()[:1]
    said = ": ".join(line.strip(" ↳") for line in lines)
    return re.sub(r"[:\s]*<\?xml.*", "", said, flags=re.DOTALL)[:400]
