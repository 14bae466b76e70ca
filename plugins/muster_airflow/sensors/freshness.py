"""Waits for a partition's data, without a slot, and says what is there, what is missing and since when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from muster.errors import MusterError, bounded_line
from muster.settings import settings
from muster.storage.results import AWAIT_DATA, LATE, SKIPPED
from muster.storage.store import Store
from muster.workload.freshness import Freshness
from muster.workload.load import load_workload
from muster.workload.windows import partition_windows
from muster.workload.zone import EPOCH, day_range
from muster_airflow.backfill import check_asked
from muster_airflow.exceptions import DataLate, DataSkipped, NoPartition, SourceRefused
from muster_airflow.hooks.database import database_known
from muster_airflow.hooks.store import mask_store_password
from muster_airflow.partition import check_partition
from muster_airflow.sensors.waiting_for_data import Shown, Wait, deadline_of
from muster_airflow.skips import saying_why
from muster_airflow.triggers.looks import unasked_state

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster.context import PartitionContext
    from muster.freshness.answer import Answer, Look

MISSING = "missing"
"""The XCom that names the days without which `ingest` goes on, with commas between; empty where none is missing."""

SETTLES = "it is looked once more whether what has come still changes"
READ_AGAIN, READ_AGAIN_AT_MOST = timedelta(minutes=5), timedelta(hours=1)
"""When what has come and could not be read is read again, though it has not changed: twice as long each time."""

WITHOUT = "{{ ti.xcom_pull(task_ids='await_data', key='missing') or '' }}"
"""Those days as `ingest` is told them; none where a human has marked the task `await_data` as done."""


class DataFreshnessSensor(BaseSensorOperator):
    """Wait until a partition's data are there, as `freshness` of the workload declares; else as by its defaults.

    It asks which days of the slice have come. Once all have, and are the same at two looks, it counts rows and groups
    beside those of the weeks before, reading keys and times alone. What does not hold it tells, on the task's page
    under *Storage* and in the log, and gives its slot back until something changes. By the deadline it fails, skips
    what follows, or goes on with what is there: as `late` says. Retries wait no longer than the first attempt would
    have; a cleared task waits anew.

    :param workload: path of the workload's YAML file. (templated)
    :param partition: the partition's date; left out, the run's partition key. (templated)
    :param poke_interval: how often it is looked whether anything has come; left out, as the workload declares.
    """

    template_fields = ("workload", "partition")
    ui_color = "#e3f1e8"

    def __init__(
        self,
        *,
        workload: str,
        partition: str | None = None,
        poke_interval: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=60 if poke_interval is None else poke_interval, **kwargs)
        self.workload = workload
        self.partition = partition
        self.as_declared = poke_interval is None

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what is there, once it is fresh."""
        check_partition(self.workload, self._partition(context), self.dag_id)
        return self._unless_stopped(context, {})

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Ask again, since something has changed or it is late."""
        return self._unless_stopped(context, event)

    def _unless_stopped(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Wait on, unless a backfill caused this run that does not ask for it, or was stopped."""
        with saying_why(self, context):
            check_asked(context, "ingest")
            return self.carry_out(context, event)

    def carry_out(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, tell, and wait on; or decide, where it is past the deadline.

        Raises:
            TaskDeferred: which is how Airflow takes the slot back.
            DataLate, DataSkipped: by the deadline.
            SourceRefused: when the source cannot be asked, and waiting would not help.
        """
        wait = self._wait(context)
        if why := event.get("unasked"):  # a source that hangs would hang here too
            return self._unanswered(wait, why, event["state"])
        try:
            mask_store_password()
            of_partition = self._of_partition(context)
            with database_known(Path(self.workload)):
                return self._look(wait, of_partition, event)
        except (MusterError, OSError) as error:
            if not getattr(error, "retryable", True):  # an object store's that refuses too
                raise SourceRefused(str(error)) from error
            if same := event.get("same"):  # the triggerer is answered, and would only wake it again
                return self._unread(wait, same, f"cannot be asked what has arrived: {error}", {})
            return self._unanswered(wait, str(error), unasked_state(error))

    def _look(self, wait: Wait, of_partition: PartitionContext, event: Mapping[str, Any]) -> dict[str, Any]:
        """Look what has come; count it once it is the same at two looks, unless it was counted already."""
        from muster.freshness.answer import Answer, ask, look

        limits = self._limits()
        seen = look(of_partition, limits)
        counted = wait.shown.counted(seen.state, wait.deadline)
        answer = Answer(seen.arrived, limits, known=counted)
        takes = seen.arrived.whole or (wait.is_late and self._late_is() == "go_on" and seen.arrived.arrivals)
        if takes and counted is None and event.get("same") != seen.state:
            return self._settle(wait, seen, answer, event)
        if seen.arrived.whole and counted is None:
            try:
                answer = ask(of_partition, limits, seen.arrived)
            except (MusterError, OSError) as error:
                if not getattr(error, "retryable", True):
                    raise
                return self._unread(wait, seen.state, f"cannot be read: {error}", answer.shown())
        if answer.fresh:
            return self._go_on(wait, answer)
        why = bounded_line("; ".join(answer.problems))
        wait.shown.waits(seen.state, why, wait.deadline, answer.shown())
        if not wait.is_late:
            wait.defer(seen.state)
        return self._late(wait, why, answer)

    def _settle(self, wait: Wait, seen: Look, answer: Answer, event: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for a second look that sees the same; past the deadline, for a few looks more, and once."""
        if event.get("settling") and wait.is_late:
            return self._late(wait, f"what has come to '{seen.arrived.place}' was never the same at two looks", None)
        wait.shown.waits(f"settling {seen.state}", SETTLES, wait.deadline, answer.shown())
        wait.defer("", seen=seen.state)

    def _unread(self, wait: Wait, state: str, error: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Wait with what the triggerer sees and this task cannot read: until it changes, or for longer each time."""
        why = bounded_line(error)
        times = wait.shown.unread(state, why, wait.deadline, answer)
        if not wait.is_late:
            longer = READ_AGAIN * 2 ** min(times - 1, 10)
            wait.defer(state, again=datetime.now(UTC) + min(longer, READ_AGAIN_AT_MOST))
        return self._late(wait, why, None)

    def _unanswered(self, wait: Wait, error: str, state: str) -> dict[str, Any]:
        """Wait until the source answers, or says something else."""
        why = bounded_line(f"cannot be asked what has arrived: {error}")
        wait.shown.waits(state, why, wait.deadline, {})
        if not wait.is_late:
            wait.defer(state)
        return self._late(wait, why, None)

    def _late(self, wait: Wait, why: str, answer: Answer | None) -> dict[str, Any]:
        """Do what is declared for late data. There is nothing to go on with where no day has come at all."""
        late = self._late_is()
        if late == "go_on" and answer is not None and answer.arrived.arrivals:
            self.log.warning("Late, and goes on with what is there: %s", why)
            return self._go_on(wait, answer)
        if late == "skip" or (late == "go_on" and answer is not None):
            skipped = DataSkipped(wait.partition, wait.deadline, why)
            self._leave(wait, {SKIPPED: str(skipped)})
            raise skipped
        late_data = DataLate(wait.partition, wait.deadline, why)
        self._leave(wait, {LATE: str(late_data)})
        raise late_data

    def _leave(self, wait: Wait, report: dict[str, Any] | None) -> None:
        """Leave in the store why `ingest` does not run, or that nothing keeps it: deadlines are looked at there."""
        store = Store(settings().store_root, Path(self.workload).stem)
        path = f"{store.results(AWAIT_DATA)}/{wait.partition}-late.json"
        try:
            store.files.delete(path) if report is None else store.files.put(path, json.dumps(report).encode())
        except OSError as error:  # no reason to do otherwise than it would
            self.log.warning("cannot write down why ingest does not run: %s", error)

    def _go_on(self, wait: Wait, answer: Answer) -> dict[str, Any]:
        wait.shown.ends(answer.shown())
        self._leave(wait, None)
        missing = [str(day) for day in answer.arrived.missing]
        wait.context["ti"].xcom_push(MISSING, ",".join(missing))
        return {"fresh": answer.fresh, **answer.shown()}

    def _late_is(self) -> str:
        return "skip" if self.soft_fail else self._limits().late

    def _wait(self, context: Context) -> Wait:
        every = self._limits().look_every_minutes * 60 if self.as_declared else self.poke_interval
        shown, partition = Shown(context, self.log), self._partition(context)
        return Wait(context, self.workload, partition, self._deadline(context), every, shown)

    def _of_partition(self, context: Context) -> PartitionContext:
        from muster.context import Context as WorkloadContext  # not while DAGs are parsed

        return WorkloadContext.of_file(Path(self.workload), settings()).at(self._partition(context))

    def _limits(self) -> Freshness:
        return load_workload(Path(self.workload)).freshness or Freshness()

    def _partition(self, context: Context) -> str:
        partition = self.partition or context.get("partition_key")
        if not partition:
            raise NoPartition(self.dag_id, load_workload(Path(self.workload)).schedule.start)
        return str(partition)

    def _deadline(self, context: Context) -> datetime:
        """Return until when to wait; a partition is due once its slice has ended, in the workload's zone.

        Raises:
            SourceRefused: when there is no such partition.
        """
        workload = load_workload(Path(self.workload))
        try:
            days = partition_windows(workload, self._partition(context)).score.days()
        except MusterError as error:
            raise SourceRefused(str(error)) from error
        ended = EPOCH + timedelta(microseconds=day_range(workload.zone, days[0], days[-1])[1])
        wait = timedelta(hours=(workload.freshness or Freshness()).wait_hours)
        return deadline_of(context, ended, wait, self.retries)
