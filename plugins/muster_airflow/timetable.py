"""When a workload's partitions are due: by its cron, each slice once, also after an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
