"""The groups that enter, counted from the table itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from muster.storage.store import Store
from muster.training.expected_groups import ExpectedGroups, expected_groups
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows


def test_a_group_enters_by_its_days_at_the_version_that_is_read(
    declare: Callable[..., Workload], group_rows: Callable[..., pa.Table], tmp_path: Path
) -> None:
    windows = partition_windows(declare(), "2024-02-05")
    days, day, store = windows.run, timedelta(days=1), Store(str(tmp_path), "made")
    firsts = {"early": days.start - day, "first": days.start, "last": days.stop - day, "late": days.stop}
    parts = [group_rows(group, first=first, days=1) for group, first in firsts.items()]
    write_deltalake(store.table("features"), pa.concat_tables(parts), partition_by=["partition", "bucket"])
    write_deltalake(store.table("features"), group_rows("added"), mode="append")
    assert expected_groups(store, 0, windows).rows == {"first": 60, "last": 60}
    assert expected_groups(store, 0, windows).training_rows == {"first": 60}
    assert expected_groups(store, 1, windows).rows == {"first": 60, "last": 60, "added": 60}


def test_without_a_table_none_enters(declare: Callable[..., Workload], tmp_path: Path) -> None:
    windows = partition_windows(declare(), "2024-02-05")
    assert expected_groups(Store(str(tmp_path), "made"), 0, windows) == ExpectedGroups()
