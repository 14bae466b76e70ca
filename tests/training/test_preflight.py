"""What a training will take, before it starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from muster import groups
from muster.context import PartitionContext
from muster.training import preflight as module
from muster.training.expected_groups import ExpectedGroups
from muster.training.large_groups import NONE, LargeGroups
from muster.training.preflight import LastRun, NotEnoughDisk, last_run, preflight
from muster.training.task_memory import Memory, NotEnoughMemory, bytes_needed
from muster.workload.spec import Workload
from tests.training.conftest import PARTITION, context_of

ROWS = {"a": 5_000_000, "b": 40, "c": 30, "d": 20}
LAST = {"seconds": 120.0, "rows_read": 1_000_018, "bytes": 3_000_000, "mlflow_calls": 46}


@pytest.fixture
def context(declare: Callable[..., Workload], folder: Path) -> PartitionContext:
    return context_of(declare(), folder).at(PARTITION)


def leave(context: PartitionContext, name: str, **report: Any) -> None:
    path = f"{context.store.results('train')}/2024-01-29-{name}.json"
    context.store.files.put(path, json.dumps(report).encode())


def test_a_first_run_is_told_by_its_rows_and_memory(context: PartitionContext) -> None:
    ahead = preflight(context, ExpectedGroups(ROWS, ROWS), NONE, None)
    assert str(ahead) == (
        "preflight: 4 groups, 5,000,090 rows; largest 'a' (5,000,000 rows), 'b' (40 rows), 'c' (30 rows); a task needs "
        "up to 1.9 GB, nobody has said what one has; no run before says how long it takes"
    )
    in_its_bucket = sum(rows for name, rows in ROWS.items() if groups.bucket(name, 4) == groups.bucket("a", 4))
    assert ahead.as_result() == {
        "rows_read": 5_000_090,
        "largest_groups": {"a": 5_000_000, "b": 40, "c": 30},
        "task_bytes": bytes_needed(2, in_its_bucket, 5_000_000),
    }


def test_the_last_run_says_how_long_it_takes_by_the_rows(context: PartitionContext) -> None:
    leave(context, "1", **LAST)
    leave(context, "2", until="2024-01-30T00:00:00+00:00", why="MLflow is full")
    assert last_run(context.store) == LastRun(120.0, 1_000_018, 3_000_000, 46)
    ahead = preflight(context, ExpectedGroups(ROWS, ROWS), NONE, None)
    assert str(ahead).endswith("by the last run about 10.0 min, 46 MLflow calls, 15.0 MB of models")


def test_results_of_before_it_was_measured_are_passed_over(context: PartitionContext) -> None:
    leave(context, "1", seconds=1.0, mlflow_calls=46)
    assert last_run(context.store) is None


def test_of_a_large_group_only_the_sample_is_in_memory(context: PartitionContext) -> None:
    large = LargeGroups({"a": 5_000_000}, most=1_000)
    ahead = preflight(context, ExpectedGroups(ROWS, ROWS), large, None)
    assert ahead.needed < bytes_needed(2, 2_000, 2_000)
    assert ahead.as_result()["large_groups"] == 1
    assert "; large: 1 group;" in str(ahead)


def test_buckets_that_need_more_than_a_task_has_are_told(context: PartitionContext) -> None:
    ahead = preflight(context, ExpectedGroups(ROWS, ROWS), NONE, Memory(1_000_000_000, 4))
    assert "up to 1.9 GB, one has 1.0 GB; more in 1 bucket, 2 at once;" in str(ahead)


def test_what_no_task_can_hold_is_refused_with_the_largest_groups(context: PartitionContext) -> None:
    with pytest.raises(NotEnoughMemory, match=r"needs about 1\.9 GB .* there are 800\.0 MB; .* 'a' \(5,000,000 rows\)"):
        preflight(context, ExpectedGroups(ROWS, ROWS), NONE, Memory(400_000_000, 2))


def test_models_that_would_not_fit_on_the_disk_are_refused(
    context: PartitionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(context, "1", **LAST)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000_000))
    with pytest.raises(NotEnoughDisk, match=r"need about 15\.0 MB, .* has 2\.0 MB free; make room"):
        preflight(context, ExpectedGroups(ROWS, ROWS), NONE, None)


def test_a_run_without_groups_needs_nothing(context: PartitionContext) -> None:
    assert preflight(context, ExpectedGroups(), NONE, Memory(1, 1)).needed == 0
