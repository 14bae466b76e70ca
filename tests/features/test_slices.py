"""Which slices of features a partition builds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.context import PartitionContext
from muster.features.slices import NoObservations, OtherFeatures, slices_to_build
from muster.storage.store import Store
from muster.storage.tables import features_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange, partition_windows

WORKLOAD = Workload.model_validate(
    {
        "name": "made",
        "keys": ["place"],
        "time": "at",
        "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
        "unique": ["place", "at"],
        "label": {"column": "delay", "above": 15},
        "features": {"columns": ["hour"], "lookback": 3},
        "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
        "windows": {"train": 14, "evaluate": 7},
        "schedule": {"start": "2024-01-01"},
    }
)
WINDOWS = partition_windows(WORKLOAD, "2024-01-29")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), "made")


def write_observations(store: Store, *days: str) -> None:
    rows = pa.table({"place": ["a"] * len(days), "date": [date.fromisoformat(day) for day in days]})
    write_deltalake(store.table("observations"), rows, partition_by=["date"])


def write_slices(store: Store, *first_days: str) -> None:
    rows = [{"group": "a", "partition": first, "bucket": 15} for first in first_days]
    table = pa.Table.from_pylist(rows, features_schema(WORKLOAD))
    write_deltalake(store.table("features"), table, partition_by=["partition", "bucket"])


def test_the_first_run_builds_every_observed_slice_of_its_windows(store: Store) -> None:
    write_observations(store, "2024-01-03", "2024-01-10", "2024-01-22", "2024-01-31")
    slices = slices_to_build(PartitionContext(WORKLOAD, Path(), store, WINDOWS))
    assert [str(first) for first in slices.first_days] == ["2024-01-08", "2024-01-22", "2024-01-29"]
    assert slices.days == DateRange(date(2024, 1, 8), date(2024, 2, 5))
    assert slices.observed == DateRange(date(2024, 1, 5), date(2024, 2, 5))


def test_later_runs_build_their_own_slice_again_and_no_earlier_one(store: Store) -> None:
    write_observations(store, "2024-01-10", "2024-01-16", "2024-01-22", "2024-01-29")
    write_slices(store, "2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29")
    slices = slices_to_build(PartitionContext(WORKLOAD, Path(), store, WINDOWS))
    assert slices.first_days == [date(2024, 1, 29)]
    assert slices.observed.start == date(2024, 1, 26)


def test_a_slice_that_nothing_was_ingested_of_is_refused(store: Store) -> None:
    write_observations(store, "2024-01-28")
    with pytest.raises(NoObservations, match="hold no day of the slice from 2024-01-29; run ingest first"):
        slices_to_build(PartitionContext(WORKLOAD, Path(), store, WINDOWS))


def test_a_slice_in_which_nothing_happened_is_built_all_the_same(store: Store) -> None:
    write_observations(store, "2024-01-28")
    slices = slices_to_build(PartitionContext(WORKLOAD, Path(), store, WINDOWS), quiet=True)
    assert [str(first) for first in slices.first_days] == ["2024-01-22", "2024-01-29"]


@pytest.mark.parametrize(
    ("changed", "what"), [({"columns": ("hour", "weekday")}, "columns"), ({"buckets": 15}, "buckets")]
)
def test_a_table_of_another_declaration_is_not_mixed_with_this_ones(
    store: Store, changed: dict[str, object], what: str
) -> None:
    write_observations(store, "2024-01-29")
    write_slices(store, "2024-01-22")
    declared = WORKLOAD.model_copy(update={"features": WORKLOAD.features.model_copy(update=changed)})
    with pytest.raises(OtherFeatures, match=f"has other {what} than are declared now; move '.*features' away"):
        slices_to_build(PartitionContext(declared, Path(), store, WINDOWS))
