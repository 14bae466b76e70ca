"""A correction is carried from event to event, and told to whoever trains once features are built."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import Asset

from muster.settings import settings
from muster.storage.delta import replace_rows
from muster_airflow.correction import corrected_days
from muster_airflow.operators.corrected import CorrectedOperator, NothingCorrected
from tests.ingest.arriving import FIRST, Arriving, week
from tests.plugins.airflow_task import context_of
from tests.plugins.watched import Outlet

CORRECTED = Asset(name="made.corrected", uri="muster://made/corrected", group="muster")
DAYS = [str(week(FIRST)[0]), str(week(FIRST)[3])]


def triggered(*extras: Any, partition: str = str(FIRST)) -> Any:
    events = [SimpleNamespace(extra=extra, source_run_id=None) for extra in extras]
    outlets = {CORRECTED: Outlet()}
    return context_of(partition, triggering_asset_events={"before": events}, outlet_events=outlets)


def news(cause: str, *days: str) -> dict[str, Any]:
    return {"news": {str(FIRST): {"cause": cause, "days": list(days)}, "2024-03-04": {"cause": "correction"}}}


def test_the_days_are_those_of_the_runs_own_partition_and_of_all_its_events() -> None:
    assert corrected_days(triggered(news("correction", DAYS[1]), news("correction", *DAYS))) == DAYS
    assert corrected_days(triggered({"correction": DAYS, "backfill": False})) == DAYS


@pytest.mark.parametrize("extra", [None, {}, {"news": "x"}, {"news": {}}, news("arrival"), news("due", DAYS[0])])
def test_whatever_else_an_event_says_is_no_correction(extra: Any) -> None:
    assert corrected_days(triggered(extra)) == []


@pytest.fixture
def built(home: Path, workload: Path) -> Arriving:
    """Two groups with rows on the days; features of three partitions."""
    store = Arriving(Path(settings().store_root))
    for day in DAYS:
        date = pa.array([FIRST.fromisoformat(day)] * 2, pa.date32())
        replace_rows(store.store, "observations", pa.table({"group": ["b", "a"], "date": date}), f"date = '{day}'")
    for number in range(5):
        store.ended(week(FIRST)[0] + number * (week(FIRST)[1] - week(FIRST)[0]) * 7, "features")
    return store


def told(workload: Path, *days: str) -> tuple[list[str], dict[str, Any]]:
    context = triggered({"correction": list(days)})
    CorrectedOperator(task_id="corrected", workload=str(workload), corrected=CORRECTED).execute(context)
    return context["outlet_events"][CORRECTED].partition_keys, context["outlet_events"][CORRECTED].extra


def test_the_newest_partition_that_learns_from_a_day_is_told_with_the_groups(built: Arriving, workload: Path) -> None:
    """Three weeks of training and evaluation end with the partition; the fourth looks back no more."""
    keys, extra = told(workload, *DAYS)
    assert keys == ["2024-02-26"]
    why = f"2 days of its data were corrected: {DAYS[0]}, {DAYS[1]}"
    assert extra == {"count": 2, "groups": ["a", "b"], "why": why}


def test_days_that_nothing_has_learnt_from_are_not_told(built: Arriving, workload: Path) -> None:
    with pytest.raises(NothingCorrected, match="no model has learnt from 2024-03-06"):
        told(workload, "2024-03-06")
    with pytest.raises(NothingCorrected, match="follows from no correction"):
        told(workload)
