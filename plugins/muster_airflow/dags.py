"""A workload's six DAGs, joined by assets with a partition key."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, Param, PartitionedAssetTimetable

from muster.errors import WorkloadError
from muster.workload.load import declared_files, load_workload
from muster.workload.spec import Workload
from muster.workload.stages import STAGES, Stage
from muster_airflow.backfill import ALLOW
from muster_airflow.explain import approve_doc, dag_doc, freshness_doc, task_doc
from muster_airflow.operators.approve import APPROVED_BY, APPROVED_VERDICTS, ApproveOperator
from muster_airflow.operators.evaluate import EvaluateOperator
from muster_airflow.operators.ingest import IngestOperator
from muster_airflow.operators.job import JobOperator
from muster_airflow.operators.promote import PromoteOperator
from muster_airflow.operators.score import ScoreOperator
from muster_airflow.sensors.freshness import WITHOUT, DataFreshnessSensor
from muster_airflow.timetable import KeyedTimetable, SliceTimetable

if TYPE_CHECKING:
    from airflow.sdk.bases.timetable import BaseTimetable

log = logging.getLogger(__name__)

RETRY_DELAY = timedelta(seconds=30)
KEY_FORMAT = "%Y-%m-%d"


def asset(workload: Workload, table: str) -> Asset:
    """Return the asset of a table (or the champion): its events carry the partition as their key."""
    return Asset(name=f"{workload.name}.{table}", uri=f"muster://{workload.name}/{table}", group="muster")


def valid_workloads(folder: Path) -> Iterator[tuple[Workload, Path]]:
    """Yield every workload of `folder` whose YAML holds."""
    for path in declared_files(folder):
        try:
            yield load_workload(path), path
        except WorkloadError:
            continue  # dags/refused_workloads.py says why


def raise_invalid_workloads(folder: Path) -> None:
    """Raise the problems of all workloads that have no DAGs, if there are any."""
    problems: list[str] = []
    for path in declared_files(folder):
        try:
            _build_dags(load_workload(path), path)
        except WorkloadError as error:
            problems += [f"{path.name}: {where}: {problem}" for where, problem in error.problems]
        except Exception as error:
            problems.append(f"{path.name}: (file): its DAGs cannot be built: {type(error).__name__}: {error}")
    if problems:
        raise WorkloadsRefused(problems)


class WorkloadsRefused(Exception):
    """Raised so that Airflow shows an import error; the DAGs of every other workload are there."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["the DAGs of these workloads are missing until their YAML is mended:", *problems]))


def workload_dags(workload: Workload, path: Path) -> list[DAG]:
    """Return the DAGs `<workload>.<stage>`, in order: each consumes the asset that the one before updates.

    None where they cannot be built, whatever the reason: it must not hide the DAGs of another workload.
    """
    try:
        return _build_dags(workload, path)
    except Exception:
        log.exception("the DAGs of %s cannot be built", path)
        return []  # dags/refused_workloads.py says why


def _build_dags(workload: Workload, path: Path) -> list[DAG]:
    upstream = [None, *STAGES[:-1]]
    dags = [_stage_dag(workload, path, stage, before) for before, stage in zip(upstream, STAGES, strict=True)]
    for dag in dags:
        dag.validate()  # as Airflow will: what it finds in one DAG of a file, it holds against all of that file
        dag.check_cycle()
    return dags


def _stage_dag(workload: Workload, path: Path, stage: Stage, before: Stage | None) -> DAG:
    schedule = workload.schedule
    dag = DAG(
        dag_id=f"{workload.name}.{stage.name}",
        description=stage.does,
        doc_md=dag_doc(workload, stage, before),
        schedule=_first_timetable(workload) if before is None else _timetable_after(workload, before),
        start_date=_start_of(_first_due(workload) if before is None else schedule.start),
        end_date=_last_tick(workload) if before is None else None,
        catchup=schedule.catchup and schedule.cron is not None and before is None,
        max_active_runs=1,
        tags=sorted({"muster", workload.name, stage.name, *workload.tags}),
        params=_guard_params() if stage.name == "promote" else None,
        default_args={
            "owner": workload.owner,
            "retries": workload.retries,
            "retry_delay": RETRY_DELAY,
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=10),
        },
    )
    _task(dag, workload, path, stage)
    return dag


def _task(dag: DAG, workload: Workload, path: Path, stage: Stage) -> None:
    shared: dict[str, Any] = {
        "dag": dag,
        "task_id": stage.name,
        "workload": str(path),
        "outlets": [asset(workload, stage.writes)],
        "doc_md": task_doc(workload, stage),
    }
    if stage.name == "ingest":
        _ingest(dag, workload, path, shared)
    elif stage.name == "evaluate":
        EvaluateOperator(**shared)
    elif stage.name == "promote":
        PromoteOperator(spark=workload.registry == "per_group", **shared, **_approval(dag, workload, path))
    elif stage.name == "score":
        ScoreOperator(**shared)
    else:
        JobOperator(stage=stage.name, mlflow=stage.mlflow, **shared)


def _ingest(dag: DAG, workload: Workload, path: Path, shared: dict[str, Any]) -> None:
    """Add `ingest`, and before it, where `freshness` is declared, the task that waits for its data."""
    if workload.freshness is None:
        IngestOperator(**shared)
        return
    doc = freshness_doc(workload, workload.freshness)
    sensor = DataFreshnessSensor(dag=dag, task_id="await_data", workload=str(path), doc_md=doc)
    sensor >> IngestOperator(**shared, job_options={"without": WITHOUT})


def _approval(dag: DAG, workload: Workload, path: Path) -> dict[str, Any]:
    """Return what `promote` is told of a human's approval; nothing, and no task, where a run may change everything."""
    if workload.gate.max_changed >= 1:
        return {}
    approve = ApproveOperator(
        dag=dag,
        task_id="approve",
        workload=str(path),
        response_timeout=timedelta(hours=workload.gate.approval_hours),
        doc_md=approve_doc(workload),
    )
    return {name: approve.output[name] for name in (APPROVED_BY, APPROVED_VERDICTS)}


def _first_timetable(workload: Workload) -> BaseTimetable:
    """Return when partitions are due: one tick late, since a slice has landed only when the next begins."""
    if workload.schedule.cron is None:
        return KeyedTimetable()
    return SliceTimetable(workload.schedule.cron, timezone="UTC", run_offset=-1, key_format=KEY_FORMAT)


def _timetable_after(workload: Workload, before: Stage) -> BaseTimetable:
    return PartitionedAssetTimetable(assets=asset(workload, before.writes))


def _first_due(workload: Workload) -> date:
    """Return the day on which the first partition's slice has landed: a tick before it would be of no partition."""
    return workload.schedule.start + timedelta(days=workload.schedule.every)


def _last_tick(workload: Workload) -> datetime | None:
    """Return the end of the day on which the last partition's slice has landed."""
    schedule = workload.schedule
    if schedule.end is None:
        return None
    return _start_of(schedule.end + timedelta(days=schedule.every + 1))


def _start_of(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _guard_params() -> dict[str, Any]:
    about = "Promote even though a backfill caused this run."
    return {ALLOW: Param(False, type="boolean", title="Allow a backfilled partition", description=about)}
