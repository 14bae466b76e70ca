"""A table of a Unity Catalog by its name: where it is, and keys to it that hold for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from muster.errors import MusterError, bounded_line

if TYPE_CHECKING:
    from databricks.sdk.core import ApiClient

TABLES = "/api/2.1/unity-catalog"
KEPT = 900
"""Seconds for which an answer is kept: the keys in it hold for an hour."""
PATIENCE = 60
"""Seconds for which the catalog is asked again where it is busy or does not answer."""

KEYS: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, str]]] = {
    "aws_temp_credentials": lambda keys: {
        "AWS_ACCESS_KEY_ID": keys["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"],
        "AWS_SESSION_TOKEN": keys["session_token"],
    },
    "azure_user_delegation_sas": lambda keys: {"AZURE_STORAGE_SAS_KEY": keys["sas_token"]},
}
"""What a catalog calls keys of a cloud -> what delta-rs calls them."""


class CatalogRefused(MusterError):
    """Raised when the catalog cannot be asked, or does not give a table, before somebody has put something right."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"the catalog does not give the source's table '{name}': {problem}")


class CatalogLost(CatalogRefused):
    """Raised when the catalog does not answer."""

    retryable = True


class Located(NamedTuple):
    """Where a table is."""

    uri: str
    options: tuple[tuple[str, str], ...] = ()
    """delta-rs' options of storage, with keys."""

    def __repr__(self) -> str:
        return f"Located({self.uri!r})"


def located(name: str) -> Located | None:
    """Return where the catalog has a Delta table; None where it has none of the name.

    The catalog is that of DATABRICKS_HOST, asked with what the environment has for it (DATABRICKS_TOKEN, or
    DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET).

    Raises:
        CatalogLost: when it does not answer: worth another try.
        CatalogRefused: when it is not known, refuses, or the table is none of Delta.
    """
    try:
        return _asked(name, int(time.monotonic() / KEPT))
    except _NoTable:
        return None


class _NoTable(LookupError):
    """Raised where a catalog has no table of a name: no answer to keep, as somebody may be about to make it."""


@lru_cache(maxsize=8)
def _asked(name: str, _: int) -> Located:
    table = _answer(name, "GET", f"{TABLES}/tables/{quote(name)}")
    if table is None:
        raise _NoTable
    if (kind := table.get("data_source_format")) != "DELTA":
        raise CatalogRefused(name, f"it is of the format {kind}; only DELTA is read")
    place = str(table["storage_location"])
    if place.startswith(("file:", "/")):  # of a catalog of this machine
        return Located(place)
    asked = {"table_id": table["table_id"], "operation": "READ"}
    given = _answer(name, "POST", f"{TABLES}/temporary-table-credentials", asked) or {}
    for kind, keys in KEYS.items():
        if given.get(kind):
            return Located(place, tuple(keys(given[kind]).items()))
    raise CatalogRefused(name, f"it gives no keys to '{place}' that are known here: {', '.join(KEYS)}")


def _answer(name: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Return what the catalog answers; None where there is no such table. No secret is in what it is told of errors."""
    if find_spec("databricks") is None:
        raise CatalogRefused(name, "the package 'databricks-sdk' is not installed here")
    from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, Unauthenticated
    from databricks.sdk.errors.base import DatabricksError
    from requests import RequestException

    try:
        return dict(_client().do(method, path, body=body))
    except ValueError:  # of the configuration, all of which it tells
        needed = "DATABRICKS_HOST and DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"
        raise CatalogRefused(name, f"set {needed}, in the environment of this process") from None
    except NotFound:
        return None
    except DatabricksError as error:
        lasting = isinstance(error, (BadRequest, Unauthenticated, PermissionDenied))
        kind = CatalogRefused if lasting else CatalogLost
        raise kind(name, f"{type(error).__name__}: {bounded_line(str(error))}") from None
    except (RequestException, TimeoutError) as error:
        raise CatalogLost(name, f"it does not answer ({type(error).__name__}); run it again") from None


@cache
def _client() -> ApiClient:
    from databricks.sdk.core import ApiClient, Config

    return ApiClient(Config(retry_timeout_seconds=PATIENCE, http_timeout_seconds=30))
