"""Waits for a partition's data, without a slot, and says what is there, what is missing and since when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import TaskDeferred

from muster.errors import MusterError, bounded_line
from muster.settings import settings
from muster.workload.freshness import Freshness
from muster.workload.load import load_workload
from muster.workload.windows import partition_windows
from muster.workload.zone import EPOCH, day_range
from muster_airflow.exceptions import DataLate, DataSkipped, NoPartition, SourceRefused
from muster_airflow.hooks.database import database_known
from muster_airflow.partition import check_partition
from muster_airflow.sensors.waiting_for_data import Shown, deadline_of
from muster_airflow.triggers.arrival import ArrivalTrigger, unasked

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster.freshness.answer import Answer

MISSING = "missing"
"""The XCom that names the days without which `ingest` goes on, with commas between; empty where none is missing."""


WITHOUT = "{{ ti.xcom_pull(task_ids='await_data', key='missing') or '' }}"
"""Those days as `ingest` is told them; none where a human has marked the task `await_data` as done."""


class DataFreshnessSensor(BaseSensorOperator):
    """Wait until a partition's data are there, as `freshness` of the workload declares; else as by its defaults.

    It asks which days of the slice have come. Once all have, it counts rows and groups beside those of the weeks
    before, reading keys and times alone. What does not hold it tells, on the task's page under *Storage* and in the
    log, and gives its slot back until something changes. By the deadline it fails, skips what follows, or goes on with
    what is there: as `late` says. Retries wait no longer than the first attempt would have; a cleared task waits anew.

    :param workload: path of the workload's YAML file. (templated)
    :param partition: the partition's date; left out, the run's partition key. (templated)
    :param poke_interval: how often it is looked whether anything has come; what has is taken when it is the same twice.
    """

    template_fields = ("workload", "partition")
    ui_color = "#e3f1e8"

    def __init__(
        self,
        *,
        workload: str,
        partition: str | None = None,
        poke_interval: timedelta | float = timedelta(minutes=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.workload = workload
        self.partition = partition

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what is there, once it is fresh."""
        check_partition(self.workload, self._partition(context), self.dag_id)
        return self.carry_out(context)

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Ask again, since something has changed or it is late."""
        return self.carry_out(context)

    def carry_out(self, context: Context) -> dict[str, Any]:
        """Ask, tell, and wait on; or decide, where it is past the deadline.

        Raises:
            TaskDeferred: which is how Airflow takes the slot back.
            DataLate, DataSkipped: by the deadline.
            SourceRefused: when the source cannot be asked, and waiting would not help.
        """
        shown, deadline = Shown(context["task_state_store"], self.log), self._deadline(context)
        try:
            answer = self._answer(context, shown, deadline)
        except (MusterError, OSError) as error:
            if not getattr(error, "retryable", True):  # an object store's that refuses too
                raise SourceRefused(str(error)) from error
            return self._unanswered(context, deadline, error, shown)
        if answer.fresh:
            return self._go_on(context, answer, shown)
        why = bounded_line("; ".join(answer.problems))
        shown.waits(answer.state, why, deadline, answer.shown())
        if datetime.now(UTC) < deadline:
            self._defer(context, deadline, answer.state)
        return self._late(context, deadline, why, answer, shown)

    def _answer(self, context: Context, shown: Shown, deadline: datetime) -> Answer:
        """Ask what is there; of a delivery whose rows were counted already they are not counted again."""
        from muster.context import Context as WorkloadContext  # not while DAGs are parsed
        from muster.freshness.answer import Answer, ask, state
        from muster.freshness.arrived import what_arrived

        limits, file = self._limits(), Path(self.workload)
        of_partition = WorkloadContext.of_file(file, settings()).at(self._partition(context))
        with database_known(file):
            arrived = what_arrived(of_partition)
            known = shown.problems(state(arrived, limits), deadline)
            return ask(of_partition, limits, arrived) if known is None else Answer(arrived, limits, known=known)

    def _unanswered(self, context: Context, deadline: datetime, error: Exception, shown: Shown) -> dict[str, Any]:
        """Wait until the source answers, or says something else."""
        why = bounded_line(f"cannot be asked what has arrived: {error}")
        shown.waits(unasked(error), why, deadline, {})
        if datetime.now(UTC) < deadline:
            self._defer(context, deadline, unasked(error))
        return self._late(context, deadline, why, None, shown)

    def _defer(self, context: Context, deadline: datetime, known: str) -> NoReturn:
        partition, until = self._partition(context), deadline.isoformat()
        trigger = ArrivalTrigger(self.workload, partition, known, until, self.poke_interval)
        raise TaskDeferred(trigger=trigger, method_name="resume", kwargs={})

    def _late(
        self, context: Context, deadline: datetime, why: str, answer: Answer | None, shown: Shown
    ) -> dict[str, Any]:
        """Do what is declared for late data. There is nothing to go on with where no day has come at all."""
        late = "skip" if self.soft_fail else self._limits().late
        partition = self._partition(context)
        if late == "go_on" and answer is not None and answer.arrived.arrivals:
            self.log.warning("Late, and goes on with what is there: %s", why)
            return self._go_on(context, answer, shown)
        if late == "skip" or (late == "go_on" and answer is not None):
            skipped = DataSkipped(partition, deadline, why)
            self.log.warning("%s", skipped)  # Airflow's own line says only that the task was skipped
            raise skipped
        raise DataLate(partition, deadline, why)

    def _go_on(self, context: Context, answer: Answer, shown: Shown) -> dict[str, Any]:
        shown.ends(answer.shown())
        missing = [str(day) for day in answer.arrived.missing]
        context["ti"].xcom_push(MISSING, ",".join(missing))
        return {"fresh": answer.fresh, **answer.shown()}

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
        return deadline_of(context, ended, timedelta(hours=(workload.freshness or Freshness()).wait_hours))
