"""The task `ingest`: it names the partitions that no run has brought."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster.errors import bounded
from muster.settings import settings
from muster_airflow.operators.job import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class IngestOperator(JobOperator):
    """Ingest a partition; in the result, and at the end of the log, name earlier ones that were left out.

    :param workload: path of the workload's YAML file. (templated)
    """

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(stage="ingest", workload=workload, mlflow=False, **kwargs)

    def _attempt(self, context: Context) -> dict[str, Any]:
        result, left_out = super()._attempt(context), self._left_out(context)
        if not left_out:
            return result
        why = "never ingested, since nothing ran when they were due, or since it failed"
        self.log.warning("%s: %s; to bring them: %s", why, bounded(left_out), self._cure(left_out))
        return {**result, "left_out": left_out}

    def _cure(self, left_out: list[str]) -> str:
        dates = f"--from {left_out[0]} --to {left_out[-1]}"
        return f"./muster backfill {Path(self.workload).stem} {dates}, or the DAG backfill"

    def _left_out(self, context: Context) -> list[str]:
        from muster.context import Context as WorkloadContext  # not while DAGs are parsed
        from muster.ingest.left_out import left_out

        of_workload = WorkloadContext.of_file(Path(self.workload), settings())
        return left_out(of_workload.at(str(self.partition_of(context))))
