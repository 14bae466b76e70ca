"""Work on units in MLflow: one in the driver, many dealt out to executors; a row tells what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from muster.champions.access import Access
from muster.champions.units import Unit
from muster.mlflow.budget import BudgetSpent, count
from muster.storage.tables import FLOAT, LONG, STRING

TASKS = 6
"""Tasks at most: a server's budget, not the number of executors, says how fast groups are registered."""
LONGEST_PROBLEM = 300
"""Characters of an error that are kept."""

Over = Callable[[int, Callable[[int], pa.Table], pa.Schema], pa.Table]
"""Run a function for each number below a first one, on the executors, and return all rows."""


class OfUnit(Protocol):
    """What the work is on: plain data."""

    @property
    def unit(self) -> Unit:
        """Whose it is."""


Item = TypeVar("Item", bound=OfUnit)
Work = Callable[[Any], dict[str, str | None]]

_END = [("problem", STRING), ("until", STRING), ("calls", LONG), ("seconds", FLOAT)]


def _schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([("group", STRING), *((name, STRING) for name in columns), *_END])


@dataclass
class UnitTasks:
    """Runs work on units, and counts what executors took."""

    over: Over
    access: Access
    calls: int = 0
    """MLflow calls that executors made."""
    seconds: float = 0.0

    def run(self, items: Sequence[Item], work: Work, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Do the work on each item; return a row each: its `group`, what the work returned, and its `problem`.

        The one unit of a pack is worked on here, and its errors are raised. Of many units each has its own moment on
        an executor, and one's error is its own problem.

        Raises:
            BudgetSpent: when executors were kept waiting for too long; other units may be done.
        """
        if all(item.unit.group is None for item in items):
            return [{"group": None, "problem": None, **work(item)} for item in items]
        turn = {group: n for n, group in enumerate(self.access.in_turn([str(item.unit.group) for item in items]))}
        ordered = sorted(items, key=lambda item: turn[str(item.unit.group)])
        tasks, access, schema = min(TASKS, len(ordered)), self.access, _schema(columns)
        dealt = [ordered[number::tasks] for number in range(tasks)]
        table = self.over(tasks, lambda number: _each(access, dealt[number], work, schema), schema)
        rows: list[dict[str, Any]] = table.to_pylist()
        self.calls += sum(row["calls"] for row in rows)
        self.seconds += sum(row["seconds"] for row in rows)
        if waiting := [(row["until"], row["problem"]) for row in rows if row["until"]]:
            until, why = max(waiting)
            raise BudgetSpent(datetime.fromisoformat(until), why)
        return rows


def _each(access: Access, items: Sequence[OfUnit], work: Work, schema: pa.Schema) -> pa.Table:
    rows = []
    with access():
        for item in items:
            group = str(item.unit.group)
            access.wait_for(group)
            calls, started = count(), time.monotonic()
            row: dict[str, Any] = {"group": group}
            try:
                row |= work(item)
            except BudgetSpent as spent:  # no other group of this task would fare better
                row |= {"problem": spent.why, "until": spent.until.isoformat()}
            except Exception as error:  # one group's trouble is not the others'
                row |= {"problem": f"{type(error).__name__}: {error}"[:LONGEST_PROBLEM]}
            rows.append({**row, "calls": count() - calls, "seconds": time.monotonic() - started})
            if row.get("until"):
                break
    return pa.Table.from_pylist(rows, schema)
