"""The journal of the alias's moves, and what it says of a version: it vouches for what the registry's tags tell."""

from __future__ import annotations

from typing import Any

from deltalake import DeltaTable

from muster.storage.store import Store


def journal(store: Store) -> list[dict[str, Any]]:
    """Return every move of the alias, the latest last."""
    table = store.open("alias_journal")
    return [] if table is None else moves(table)


def moves(table: DeltaTable) -> list[dict[str, Any]]:
    """Return the moves in a journal that is open already, the latest last."""
    rows: list[dict[str, Any]] = table.to_pyarrow_table().sort_by("at").to_pylist()
    return [{"group": None, **row} for row in rows]  # a journal begun before groups had models of their own lacks it


def digest_of(store: Store, version: str) -> str | None:
    """Return the digest with which a version of the pack was last made champion; None where it never was.

    The last: MLflow gives the number of a deleted version to the next one.
    """
    of_pack = [move for move in journal(store) if move["group"] is None]
    found = [move["manifest_sha256"] for move in of_pack if move["to_version"] == version]
    return found[-1] if found else None
