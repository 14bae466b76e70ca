"""Which groups' rows a retry scores anew: just its own, unless the others' are old as well."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from muster.features.files import list_features
from muster.features.slices import contents
from muster.scoring.rescored import rescored_groups
from muster.storage.delta import replace_rows
from muster.storage.tables import LEDGER, predictions_schema
from muster_jobs.command_line import write_result
from tests.jobs.retried import FIRST, Line

RETRY = f"{FIRST}-0000aaaa"


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A slice that was scored, and a retry of one group of it."""
    line = Line(tmp_path)
    line.features(["a", "c"])
    row = {
        "partition": FIRST,
        "run": RETRY,
        "group": "c",
        "bucket": 0,
        "parent": False,
        "state": "trained",
        "attempt": 2,
    }
    retried = pa.Table.from_pylist([dict.fromkeys(LEDGER.names) | row], LEDGER)
    replace_rows(line.store, "ledger", retried, f"partition = '{FIRST}'")
    schema = predictions_schema(line.workload)
    answer = {"partition": FIRST, "group": "a", "bucket": 0, "row_id": "x", "time": datetime(2024, 2, 6, tzinfo=UTC)}
    answers = pa.Table.from_pylist([dict.fromkeys(schema.names) | answer], schema)
    replace_rows(line.store, "predictions", answers, f"partition = '{FIRST}'")
    return line


def scored(line: Line, **report: Any) -> frozenset[str] | None:
    """Return the groups that are scored anew, after a score that reported this beside its rows."""
    context = line.at(FIRST)
    files = list_features(context, context.windows.score)
    told = {"features": contents(context, context.windows.score, files.version), **report}
    write_result(told, line.store.uri(f"{line.store.results('score')}/{FIRST}-1.json"))
    return rescored_groups(context, files, RETRY)


def test_just_the_retried_ones_where_the_others_answers_are_of_these_rows_and_of_the_slices_time(line: Line) -> None:
    assert scored(line) == {"c"}


def test_all_where_the_slice_was_built_of_other_rows_since(line: Line) -> None:
    assert scored(line, features={FIRST: "another"}) is None


def test_all_where_a_backfill_has_scored_it_by_todays_champion(line: Line) -> None:
    assert scored(line, champion="today") is None
