"""Runs one stage of a workload as a job, on whatever backend is configured."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from muster.settings import settings
from muster_airflow.backends.code import job_file
from muster_airflow.backfill import comes_from_backfill
from muster_airflow.exceptions import InputRefused, JobFailed, MlflowClosed, NoPartition, ResultMissing
from muster_airflow.hooks.mlflow import CREDENTIALS, MlflowHook
from muster_airflow.links import MlflowRunLink, ModelVersionLink, SparkLink
from muster_airflow.process import RUN_KEY, JobProcess, stop_leftovers
from muster_airflow.summary import summary
from muster_airflow.waiting import MAX_WAIT, check_closed, clear_wait, defer

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster_airflow.backends import Command

NOT_INHERITED = (
    *("AIRFLOW_CONN_", "AIRFLOW__", *CREDENTIALS),
    *("SPARK_REMOTE", "SPARK_LOCAL_REMOTE", "SPARK_CONNECT_MODE_ENABLED"),
)
"""Airflow's connections and keys are none of a job's business; where Spark and MLflow are, connections alone say."""

KEPT_LINES = 200
"""The last lines of a job's output that are searched for its error."""


class JobOperator(BaseOperator):
    """Run a stage's job for one partition of a workload; return what it counted.

    While MLflow takes no more calls the task is deferred: it holds no slot, uses up no retry, and runs again when the
    budget says so. An error that only another input can mend fails the task at once, without retries.

    :param stage: name of the stage.
    :param workload: path of the workload's YAML file. (templated)
    :param partition: the partition's date; left out, the run's partition key. (templated)
    :param job_options: what else the job is told, `--option name=value`; empty values are left out. (templated)
    :param job: the job's file; left out, `jobs/<stage>.py`.
    :param spark: whether the job needs Spark; without it the job is a plain process on every backend.
    :param mlflow: whether the job talks to MLflow; without it the job is not told where that is, nor waits for it.
    :param mlflow_conn_id: the connection that says where MLflow is. (templated)
    :param max_wait: for how long in all the task waits for MLflow before it fails.
    """

    template_fields = ("workload", "partition", "job_options", "mlflow_conn_id")
    operator_extra_links = (SparkLink(), MlflowRunLink(), ModelVersionLink())
    ui_color = "#e8eef7"
    untold: ClassVar[frozenset[str]] = frozenset()
    """What of its result the log does not sum up."""
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
        self._process: JobProcess | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the job and return its result."""
        return self.carry_out(context)

    def resume(self, context: Context, event: Any, since: str) -> dict[str, Any]:
        """Run the job again, now that MLflow takes calls; `since` tells when the task first had to wait."""
        clear_wait(context)
        return self.carry_out(context, since=datetime.fromisoformat(since))

    def carry_out(self, context: Context, *, since: datetime | None = None) -> dict[str, Any]:
        """Stop what an earlier attempt left, run the job, pass its log on, return its result."""
        try:
            self.result = self._attempt(context)
        except MlflowClosed as closed:
            defer(self, context, closed, since, self.max_wait)
        extra = {**self.result, "backfill": comes_from_backfill(context)}
        for asset in self.outlets:
            context["outlet_events"][asset].extra = extra
        return self.result

    def on_kill(self) -> None:
        """Stop the job; it interrupts its own work on the Spark server first."""
        if self._process is not None:
            self._process.stop()

    def partition_of(self, context: Context) -> str | None:
        """Return the partition that this task is about; None where the job is about none.

        Raises:
            NoPartition: when neither the task nor the run names one.
        """
        if not self.partitioned:
            return None
        partition = self.partition or context.get("partition_key")
        if not partition:
            raise NoPartition(self.dag_id)
        return str(partition)

    def _attempt(self, context: Context) -> dict[str, Any]:
        partition = self.partition_of(context)
        workload = Path(self.workload).stem
        mlflow = self._mlflow()
        run_key = " ".join(filter(None, [settings().store_root, workload, self.stage, partition]))
        if left := stop_leftovers(run_key):
            self.log.warning("Stopped what an earlier attempt left: processes %s", left)
        attempt = _attempt_name(context)
        result_file = self._result_file(workload, partition, attempt)
        command = self._command(partition, attempt, result_file)
        self.spark_ui = command.spark_ui
        context["ti"].xcom_push(SparkLink().xcom_key, self.spark_ui)
        result = self._run(command, {**mlflow, RUN_KEY: run_key}, result_file)
        told = {name: value for name, value in result.items() if name not in self.untold}
        self.log.info("%s", summary(self.stage, workload, partition, told))
        return result

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

    def _command(self, partition: str | None, attempt: str, result_file: Path) -> Command:
        from muster_airflow.backends import BACKENDS, JobCall, plain

        options = {name: value for name, value in (self.job_options or {}).items() if value}
        job = self.job or job_file(self.stage)
        call = JobCall(job, self.workload, partition, attempt, result_file, options)
        if not self.spark:
            return plain(call)
        backend = settings().backend
        self.log.info("Backend '%s'", backend)
        return BACKENDS[backend](call)

    def _run(self, command: Command, added: Mapping[str, str], result_file: Path) -> dict[str, Any]:
        from muster_airflow.backends.properties import configured

        inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
        lines: list[str] = []

        def tell(line: str) -> None:
            self.log.info("%s", line)
            lines.append(line)
            del lines[:-KEPT_LINES]

        result_file.unlink(missing_ok=True)  # this very attempt may have been deferred before
        with configured(command, settings().home.resolve() / "submit") as arguments:
            self._process = JobProcess(arguments, {**inherited, **command.environment, **added})
            self.log.info("Started process %s: %s", self._process.pid, " ".join(arguments))
            code = self._process.stream(tell)
        if code not in (os.EX_OK, os.EX_TEMPFAIL):
            raise (InputRefused if code == os.EX_DATAERR else JobFailed)(self.stage, code, lines)
        if not result_file.is_file():
            raise ResultMissing(self.stage, code, str(result_file))
        result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
        if code == os.EX_TEMPFAIL:
            raise MlflowClosed(datetime.fromisoformat(result["until"]), result["why"])
        return result

    def _result_file(self, workload: str, partition: str | None, attempt: str) -> Path:
        """Return a file of this attempt alone, beside the store where that is a folder."""
        from muster.storage.store import Store

        root = settings().store_root
        folder = Store(root if "://" not in root else str(settings().home / "store"), workload).results(self.stage)
        return Path(folder) / f"{'-'.join(filter(None, [partition, attempt]))}.json"


def _attempt_name(context: Context) -> str:
    """Name this attempt: who started the run if anyone did, the run, the try; fit for a file's name."""
    run = context["dag_run"]
    parts = [run.triggering_user_name, run.run_id, str(context["ti"].try_number)]
    return re.sub(r"[^\w.-]", "-", ".".join(filter(None, parts)))[-180:]
