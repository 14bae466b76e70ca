"""When a workload's partitions are due: by its cron, each slice once, also after an outage; or by hand alone."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.simple import NullTimetable
from airflow.timetables.trigger import CronPartitionTimetable

if TYPE_CHECKING:
    from airflow.timetables.base import DagRunInfo, TimeRestriction


class SliceTimetable(CronPartitionTimetable):
    """Airflow's own, but it catches up from the last slice that it has scheduled, and never from the DAG's start.

    So what an outage or a pause left out runs, oldest first, and a new workload begins with its latest slice. A
    backfill of long ago is nothing to go on from: its runs are those whose time is the partition's own.
    """

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run, as Airflow asks for it."""
        scheduled = last_dagrun_info is not None and last_dagrun_info.run_after != last_dagrun_info.partition_date
        restriction = restriction._replace(catchup=restriction.catchup and scheduled)
        return super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)


class KeyedTimetable(NullTimetable):
    """Nothing is due: every run is triggered with its partition's key.

    Airflow's own for this, `PartitionedAtRuntime`, calls itself not `partitioned`, and so its form has no field for the
    key, and its runs have no partition's date.
    """

    partitioned = True
    description = "By hand or by an API call, with a partition key"

    @property
    def summary(self) -> str:
        """Return what the list of DAGs shows as the schedule."""
        return "by hand"

    def _decode_partition_date(self, partition_key: str) -> datetime:
        with suppress(ValueError):
            day = date.fromisoformat(partition_key)
            if day.isoformat() == partition_key:  # `20240206` is a date, too, but another key
                return datetime.combine(day, datetime.min.time(), UTC)
        raise InvalidPartitionKeyError(
            f"partition key '{partition_key}' is no date; write the first day of a slice as 2024-02-06"
        )
