"""Runs one stage of a workload as a job, on whatever backend is configured."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from muster.backfill.request import EVENT
from muster.settings import settings
from muster.workload.load import load_workload
from muster_airflow.attempt import attempt_name
from muster_airflow.backends.protocol import Done, Failed, Handle, JobCall, Later
from muster_airflow.backfill import carried_on, check_asked
from muster_airflow.correction import CORRECTION, corrected_days
from muster_airflow.exceptions import InputRefused, JobFailed, MlflowClosed, NoPartition, NothingToDo
from muster_airflow.hooks.database import database_environment
from muster_airflow.hooks.mlflow import MlflowHook
from muster_airflow.hooks.store import mask_store_password
from muster_airflow.links import MlflowRunLink, ModelVersionLink, SparkLink
from muster_airflow.partition import check_partition
from muster_airflow.progress import progress_shown
from muster_airflow.skips import saying_why
from muster_airflow.summary import summary
from muster_airflow.waiting import MAX_WAIT, check_closed, clear_wait, defer

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster_airflow.backends.protocol import Backend, Outcome
    from muster_airflow.progress import Show


class JobOperator(BaseOperator):
    """Run a stage's job for one partition of a workload; return what it counted.

    While MLflow takes no more calls the task is deferred: it holds no slot, uses up no retry, and runs again when the
    budget says so. An error that only another input can mend fails the task at once, without retries. A job whose
    result has `skipped_because`, the reason why there was no work, skips the task: no asset event follows.

    :param stage: name of the stage.
    :param workload: path of the workload's YAML file. (templated)
    :param partition: the partition's date; left out, the run's partition key. (templated)
    :param job_options: the job's options, `--option name=value`; empty values are left out. (templated)
    :param job: a job's file of one's own; left out, the stage's, `muster_jobs.<stage>`.
    :param spark: whether the job needs Spark; without it the job is a plain process on every backend.
    :param mlflow: whether the job talks to MLflow; without it the job does not learn where that is, nor waits for it.
    :param mlflow_conn_id: the connection that says where MLflow is. (templated)
    :param max_wait: for how long in all the task waits for MLflow before it fails.
    """

    template_fields = ("workload", "partition", "job_options", "mlflow_conn_id")
    operator_extra_links = (SparkLink(), MlflowRunLink(), ModelVersionLink())
    ui_color = "#e8eef7"
    left_out_of_summary: ClassVar[frozenset[str]] = frozenset()
    """What of its result the log does not sum up."""
    asked_as: ClassVar[str] = ""
    """The stage that a backfill asks for, where it is another than the job's."""
    partitioned = True
    """Whether the job is about one partition; an operator of one that is not says so."""

    def __init__(
        self,
        *,
        stage: str,
        workload: str,
        partition: str | None = None,
        job_options: Mapping[str, str] | None = None,
        job: str | None = None,
        spark: bool = True,
        mlflow: bool = True,
        mlflow_conn_id: str = MlflowHook.default_conn_name,
        max_wait: timedelta = MAX_WAIT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.workload = workload
        self.partition = partition
        self.job_options = job_options
        self.job = job
        self.spark = spark
        self.mlflow = mlflow
        self.mlflow_conn_id = mlflow_conn_id
        self.max_wait = max_wait
        self.spark_ui = ""
        self.mlflow_ui = ""
        self.result: dict[str, Any] = {}
        self._handle: Handle | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the job and return its result, unless a backfill caused this run that does not ask for it."""
        if partition := self.partition_of(context):
            check_partition(self.workload, partition, self.dag_id)
        with saying_why(self, context):
            check_asked(context, self.asked_as or self.stage)
            return self.carry_out(context)

    def resume(self, context: Context, event: Any, since: str) -> dict[str, Any]:
        """Run the job again, now that MLflow takes calls; `since` tells when the task first had to wait."""
        clear_wait(context)
        with saying_why(self, context):
            return self.carry_out(context, since=datetime.fromisoformat(since))

    def carry_out(self, context: Context, *, since: datetime | None = None) -> dict[str, Any]:
        """Stop what an earlier attempt left, run the job, pass its log on, return its result."""
        try:
            self.result = self._attempt(context)
        except MlflowClosed as closed:
            defer(self, context, closed, since, self.max_wait)
        if why := self.result.get("skipped_because"):
            raise NothingToDo(why)
        extra = {**self.result, EVENT: carried_on(context)}
        if days := corrected_days(context):
            extra[CORRECTION] = days
        for asset in self.outlets:
            context["outlet_events"][asset].extra = extra
        return self.result

    def on_kill(self) -> None:
        """Stop the job; it interrupts its own work first."""
        if self._handle is not None:
            self._backend().cancel(self._handle)

    def partition_of(self, context: Context) -> str | None:
        """Return the partition that this task is about; None where the job is about none.

        Raises:
            NoPartition: when neither the task nor the run names one.
        """
        if not self.partitioned:
            return None
        partition = self.partition or context.get("partition_key")
        if not partition:
            raise NoPartition(self.dag_id, load_workload(Path(self.workload)).schedule.start)
        return str(partition)

    def _attempt(self, context: Context) -> dict[str, Any]:
        call = self._call(context)
        backend = self._backend()
        self._handle = handle = backend.submit(call)
        self.spark_ui = handle.links.get("spark_ui", "")
        context["ti"].xcom_push(SparkLink().xcom_key, self.spark_ui)
        with progress_shown(context) as show:
            result = self._result(self._ended(backend, handle, show))
        shown = {name: value for name, value in result.items() if name not in self.left_out_of_summary}
        self.log.info("%s", summary(self.stage, Path(self.workload).stem, call.partition, shown))
        return result

    def _call(self, context: Context) -> JobCall:
        partition = self.partition_of(context)
        mask_store_password()
        key = [settings().store_root, Path(self.workload).stem, self.stage, partition]
        return JobCall(
            stage=self.stage,
            workload=self.workload,
            partition=partition,
            attempt=attempt_name(context),
            job=self.job or "",
            options={name: value for name, value in (self.job_options or {}).items() if value},
            environment={**self._mlflow(), **database_environment(Path(self.workload))},
            run_key=" ".join(filter(None, key)),
        )

    def _backend(self) -> Backend:
        from muster_airflow.backends import BACKENDS, PLAIN  # not while DAGs are parsed

        return BACKENDS[settings().backend] if self.spark else PLAIN

    def _ended(self, backend: Backend, handle: Handle, show: Show) -> Outcome:
        """Pass on what the job writes until it has ended, and show its progress; return what became of it."""
        try:
            while True:
                status = backend.poll(handle)
                for line in status.lines:
                    self.log.info("%s", line)
                    show(line)
                if not status.running:
                    return backend.result(handle)
        except BaseException:
            backend.cancel(handle)
            raise

    def _result(self, outcome: Outcome) -> dict[str, Any]:
        match outcome:
            case Done(result):
                return dict(result)
            case Later(until, why):
                raise MlflowClosed(until, why)
            case Failed(message, retryable):
                raise (JobFailed if retryable else InputRefused)(message)

    def _mlflow(self) -> dict[str, str]:
        """Return what the job's environment says of MLflow.

        Raises:
            MlflowClosed: when the server wants no calls for longer than the job would wait itself.
        """
        if not self.mlflow:
            return {}
        hook = MlflowHook(self.mlflow_conn_id)
        self.mlflow_ui = hook.ui
        check_closed(hook.uri)
        return hook.environment()
