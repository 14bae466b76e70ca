"""What an executor does for groups in MLflow: register their models, or move their aliases; a row tells each end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from muster.champions.registry import ALIAS
from muster.mlflow.budget import BudgetSpent, count, muster_errors
from muster.mlflow.client import connect
from muster.per_group.access import Access
from muster.per_group.champions import at_alias, champion
from muster.per_group.register import Winner, register
from muster.storage.tables import FLOAT, LONG, STRING
from muster.workload.spec import Workload

_END = [("problem", STRING), ("until", STRING), ("calls", LONG), ("seconds", FLOAT)]
REGISTERED = pa.schema([("group", STRING), ("version", STRING), ("found", STRING), *_END])
"""`found`: where the alias was; `until`: when MLflow takes calls again, if that is the problem."""
FLIPPED = pa.schema([("group", STRING), ("stay", STRING), *_END])
"""`stay`: why the alias was left where it is."""


@dataclass(frozen=True)
class Flip:
    """A journalled move of one group's alias."""

    group: str
    name: str
    from_version: str | None
    to_version: str


def register_some(workload: Workload, root: Path, access: Access, winners: Sequence[Winner]) -> pa.Table:
    """Register winners one after another, each in its own moment; return a row of REGISTERED for each."""

    def work(winner: Winner) -> dict[str, Any]:
        made = register(workload, root, winner)
        found = champion(winner.name, winner.group)
        return {"version": made.version, "found": found.version if found else None}

    return _each(access, winners, work, REGISTERED)


def flip_some(access: Access, flips: Sequence[Flip]) -> pa.Table:
    """Move aliases that are where the move begins, and read them back; return a row of FLIPPED for each."""

    return _each(access, flips, lambda flip: {"stay": flip_one(flip)}, FLIPPED)


def flip_one(flip: Flip) -> str | None:
    """Move an alias that is where the move begins, and read it back; return why it was left where it is, if it was."""
    at = at_alias(flip.name)
    if at not in (flip.from_version, flip.to_version):
        return f"the alias was moved to version {at or 'none'}, but not by Muster"
    if at != flip.to_version:
        with muster_errors():
            connect().set_registered_model_alias(flip.name, ALIAS, flip.to_version)
        if at_alias(flip.name) != flip.to_version:
            return "the alias was moved by another right after"
    return None


def _each(access: Access, items: Sequence[Any], work: Any, schema: pa.Schema) -> pa.Table:
    rows = []
    with access():
        for item in items:
            access.wait_for(item.group)
            calls, started, row = count(), time.monotonic(), {"group": item.group}
            try:
                row |= work(item)
            except BudgetSpent as spent_one:  # no other group of this task would fare better
                row |= {"problem": spent_one.why, "until": spent_one.until.isoformat()}
            except Exception as error:  # one group's trouble is not the others'
                row |= {"problem": f"{type(error).__name__}: {error}"[:300]}
            row |= {"calls": count() - calls, "seconds": time.monotonic() - started}
            rows.append(row)
            if row.get("until"):
                break
    return pa.Table.from_pylist(rows, schema)


def spent(rows: Iterable[Mapping[str, Any]]) -> None:
    """Raise the latest end of patience that executors told of, if any.

    Raises:
        BudgetSpent: until when, and why.
    """
    told = [(row["until"], row["problem"]) for row in rows if row["until"]]
    if told:
        until, why = max(told)
        raise BudgetSpent(datetime.fromisoformat(until), why)
