"""An object store by its root, and its errors as the system's. Imports nothing of Muster: it ships with packs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class NotAvailable(OSError):
    """Raised when an object store does not do what it is asked, whatever its reason but that there is no such file."""


class PastTheEnd(NotAvailable):
    """Raised when all that is asked for of an object is behind its end."""


@lru_cache(maxsize=16)
def object_store(root: str) -> ObjectStore:
    """Return the store of a root, with what the environment says of endpoint, region and credentials."""
    from obstore.store import from_url

    http = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://") and root.startswith("s3://")
    return from_url(root, client_options={"allow_http": True}) if http else from_url(root)


@contextmanager
def system_errors(place: str) -> Iterator[None]:
    """Turn an object store's errors into the system's."""
    from obstore.exceptions import BaseError, NotFoundError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        if "NoSuchBucket" in str(error):
            raise NotAvailable(f"there is no bucket for '{place}'; create it, or write its name right") from error
        raise FileNotFoundError(f"there is no file '{place}'") from error
    except BaseError as error:
        if "416 Range Not Satisfiable" in str(error):
            raise PastTheEnd(f"'{place}' ends before") from error
        problem = f"{type(error).__name__}: {_line(error)}"
        raise NotAvailable(f"the object store does not give '{place}': {problem}") from error


def _line(error: BaseException) -> str:
    """Return the first line of an error's message, where obstore adds how it came to it on many."""
    return next(iter(str(error).splitlines()), "")[:300]
