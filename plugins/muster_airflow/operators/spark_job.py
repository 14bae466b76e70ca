"""Runs one stage of a workload as a job, on whatever backend is configured."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from muster.settings import settings
from muster_airflow.backfill import comes_from_backfill, refuse_backfill
from muster_airflow.exceptions import JobFailed, NoPartition, ResultMissing
from muster_airflow.links import MlflowRunLink, ModelVersionLink, SparkLink
from muster_airflow.process import RUN_KEY, JobProcess, stop_leftovers
from muster_airflow.summary import summary

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster_airflow.backends import Command

NOT_INHERITED = ("AIRFLOW_CONN_", "AIRFLOW__", "SPARK_REMOTE", "SPARK_LOCAL_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
"""Airflow's connections and keys are none of a job's business; where Spark is, the backend alone says."""

KEPT_LINES = 200
"""The last lines of a job's output that are searched for its error."""


class SparkJobOperator(BaseOperator):
    """Run a stage's job for the run's partition; return what it counted.

    :param stage: name of the stage.
    :param job: the job's file.
    :param workload: path of the workload's YAML file.
    :param spark: whether the job needs Spark; without it the job is a plain process on every backend.
    :param guard_backfill: whether to refuse work that a backfill caused, unless the param `allow_backfill` is set.
    """

    operator_extra_links = (SparkLink(), MlflowRunLink(), ModelVersionLink())
    ui_color = "#e8eef7"

    def __init__(
        self, *, stage: str, job: str, workload: str, spark: bool = True, guard_backfill: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.job = job
        self.workload = workload
        self.spark = spark
        self.guard_backfill = guard_backfill
        self.spark_ui = ""
        self.result: dict[str, Any] = {}
        self._process: JobProcess | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Stop what an earlier attempt left, run the job, pass its log on, return its result."""
        partition = context.get("partition_key")
        if not partition:
            raise NoPartition(self.dag_id)
        if self.guard_backfill:
            refuse_backfill(context)
        workload = Path(self.workload).stem
        run_key = f"{settings().store_root} {workload} {self.stage} {partition}"
        if left := stop_leftovers(run_key):
            self.log.warning("Stopped what an earlier attempt left: processes %s", left)
        result_file = self._result_file(workload, partition, context)
        command = self._command(partition, result_file)
        self.spark_ui = command.spark_ui
        context["ti"].xcom_push(SparkLink().xcom_key, self.spark_ui)
        self.result = self._run(command, {RUN_KEY: run_key}, result_file)
        self.log.info("%s", summary(self.stage, workload, partition, self.result))
        extra = {**self.result, "backfill": comes_from_backfill(context)}
        for asset in self.outlets:
            context["outlet_events"][asset].extra = extra
        return self.result

    def on_kill(self) -> None:
        """Stop the job; it interrupts its own work on the Spark server first."""
        if self._process is not None:
            self._process.stop()

    def _command(self, partition: str, result_file: Path) -> Command:
        from muster_airflow.backends import BACKENDS, JobCall, plain

        attempt = result_file.stem.removeprefix(f"{partition}-")
        call = JobCall(self.job, self.workload, partition, attempt, result_file)
        if not self.spark:
            return plain(call)
        backend = settings().backend
        self.log.info("Backend '%s'", backend)
        return BACKENDS[backend](call)

    def _run(self, command: Command, mark: Mapping[str, str], result_file: Path) -> dict[str, Any]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
        lines: list[str] = []

        def tell(line: str) -> None:
            self.log.info("%s", line)
            lines.append(line)
            del lines[:-KEPT_LINES]

        self._process = JobProcess(command.arguments, {**inherited, **command.environment, **mark})
        self.log.info("Started process %s: %s", self._process.pid, " ".join(command.arguments))
        code = self._process.stream(tell)
        if code:
            raise JobFailed(self.stage, code, lines)
        if not result_file.is_file():
            raise ResultMissing(self.stage, str(result_file))
        result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
        return result

    def _result_file(self, workload: str, partition: str, context: Context) -> Path:
        """Return a file of this attempt alone, beside the store where that is a folder."""
        from muster.tables import Store

        root = settings().store_root
        folder = Store(root if "://" not in root else str(settings().home / "store"), workload).results(self.stage)
        return Path(folder) / f"{partition}-{_attempt(context)}.json"


def _attempt(context: Context) -> str:
    """Name this attempt: who started the run if anyone did, the run, the try; fit for a file's name."""
    run = context["dag_run"]
    parts = [run.triggering_user_name, run.run_id, str(context["ti"].try_number)]
    return re.sub(r"[^\w.-]", "-", ".".join(filter(None, parts)))[-180:]
