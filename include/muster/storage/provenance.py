"""What the slices of a derived table were made from, and what they hold: facts about files, never changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.storage.delta import created, dataset
from muster.storage.store import Store, TableVersion
from muster.storage.tables import PROVENANCE, TABLES

MAX_FILES = 64
"""Files of the table beyond which the next writer puts them together: each job adds one."""


@dataclass(frozen=True)
class Fact:
    """What one slice of a table holds, and what it was made from: true of these files alone."""

    table: str
    slice: str
    """A day of `observations`, the first day of a slice of `features`: what its table is divided by first."""
    files: str
    """A digest of the files' names: rows written again, by whomever, have other names. Empty where there is no row."""
    content: Mapping[str, str]
    """Day -> the `content_digest` of its rows, whatever their order and files."""
    made_from: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """How many rows the slice holds: each day's digest begins with its own number."""
        return sum(int(digest.partition(":")[0]) for digest in self.content.values())

    @property
    def digest(self) -> str:
        """A digest of what the slice holds."""
        return hashlib.sha256(_json(self.content).encode()).hexdigest()[:16]


NO_ROWS = "0:0"
"""The content of a day that has none."""


def content_digest(rows: int, total: int) -> str:
    """Return the digest of rows by their number and the sum of a 64-bit hash of each: any order adds up to the same."""
    return f"{rows}:{total % 2**64:016x}"


def file_digests(store: Store, table: str, version: int | TableVersion | None = None) -> dict[str, str]:
    """Return slice -> the digest of its files' names, at a Delta version (the latest when None)."""
    delta = store.open(table, version)
    if delta is None:
        return {}
    by = f"partition.{TABLES[table].partitioned_by[0]}"
    names: dict[str, list[str]] = {}
    for action in pa.table(delta.get_add_actions(flatten=True)).select([by, "path"]).to_pylist():
        names.setdefault(str(action[by]), []).append(action["path"])
    return {name: hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()[:16] for name, paths in names.items()}


def read_facts(store: Store, table: str, files: Mapping[str, str]) -> dict[str, Fact]:
    """Return slice -> the fact that was written down about its `files`, a digest by slice; those without are left out.

    A slice that has a fact and is not among `files` is known to hold no row. A job that died between its rows and its
    facts, and rows that somebody else wrote, leave files without a fact: none of other files is ever taken for theirs.
    """
    return {fact.slice: fact for fact in facts(store, table) if fact.files == files.get(fact.slice, "")}


def newest_facts(store: Store, table: str) -> dict[str, Fact]:
    """Return slice -> the fact that was written down last, whatever its files are now.

    It says where a slice came from, not what it holds: its rows may have been rewritten since.
    """
    return {fact.slice: fact for fact in facts(store, table)}


def facts(store: Store, table: str) -> Iterator[Fact]:
    """Yield all facts about a table that were ever written down, the oldest first."""
    delta = store.open("provenance")
    if delta is None:
        return
    rows = dataset(delta, statistics=True).to_table(filter=pc.field("table") == table)
    for row in rows.sort_by("at").to_pylist():
        contents = {name: json.loads(row[name]) for name in ("content", "made_from")}
        yield Fact(table, row["slice"], row["files"], **contents)


def write_facts(store: Store, new: Iterable[Fact]) -> None:
    """Write facts down, in one commit that no other can contradict: rows are added, none is replaced."""
    from deltalake import write_deltalake
    from deltalake.exceptions import CommitFailedError

    at = datetime.now(UTC)
    rows = [
        {
            **vars(fact),
            **{"rows": fact.rows, "at": at},
            **{name: _json(getattr(fact, name)) for name in ("content", "made_from")},
        }
        for fact in new
    ]
    delta = created(store, "provenance", PROVENANCE)
    write_deltalake(delta, pa.Table.from_pylist(rows, PROVENANCE), mode="append")
    delta.update_incremental()
    if len(delta.file_uris()) > MAX_FILES:
        with contextlib.suppress(CommitFailedError):  # another is just doing the same
            delta.optimize.compact()


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)
