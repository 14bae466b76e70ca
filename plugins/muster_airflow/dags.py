"""A workload's DAGs: one a stage, joined by assets with a partition key; one that retries groups; one that watches."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, AssetAny, Param, PartitionedAssetTimetable

from muster.errors import WorkloadError
from muster.monitoring.announced import KINDS
from muster.workload.load import declared_files, load_workload
from muster.workload.spec import Workload
from muster.workload.stages import KEPT, Stage, stages_of, started_by
from muster_airflow.assets import CORRECTED, asset
from muster_airflow.backfill import ALLOW
from muster_airflow.explain import (
    DECIDE_DOC,
    KEEP_DOC,
    announce_doc,
    corrected_doc,
    dag_doc,
    freshness_doc,
    task_doc,
)
from muster_airflow.operators.announce import AnnounceOperator
from muster_airflow.operators.corrected import CorrectedOperator
from muster_airflow.operators.evaluate import EvaluateOperator
from muster_airflow.operators.ingest import IngestOperator
from muster_airflow.operators.job import JobOperator
from muster_airflow.operators.promote import PromoteOperator
from muster_airflow.operators.retrain import DecideOperator, KeepChampionOperator
from muster_airflow.operators.score import ScoreOperator
from muster_airflow.operators.train import TrainOperator
from muster_airflow.retry_dag import retry_dag
from muster_airflow.sensors.freshness import WITHOUT, DataFreshnessSensor
from muster_airflow.tasks import approval, task_defaults
from muster_airflow.timetable import KeyedTimetable, SliceTimetable
from muster_airflow.watch_dag import watch_dag

if TYPE_CHECKING:
    from airflow.sdk.bases.timetable import BaseTimetable

log = logging.getLogger(__name__)

KEY_FORMAT = "%Y-%m-%d"


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

    And `<workload>.retry`, which a human starts, and `<workload>.watch` where `arrivals` is declared. None where they
    cannot be built, whatever the reason: it must not hide the DAGs of another workload.
    """
    try:
        return _build_dags(workload, path)
    except Exception:
        log.exception("the DAGs of %s cannot be built", path)
        return []  # dags/refused_workloads.py says why


def _build_dags(workload: Workload, path: Path) -> list[DAG]:
    dags = [*(_stage_dag(workload, path, stage) for stage in stages_of(workload)), retry_dag(workload, path)]
    if workload.arrivals is not None:
        dags.append(watch_dag(workload, path, workload.arrivals, task_defaults(workload)))
    for dag in dags:
        dag.validate()  # as Airflow will: what it finds in one DAG of a file, it holds against all of that file
        dag.check_cycle()
    return dags


def _stage_dag(workload: Workload, path: Path, stage: Stage) -> DAG:
    schedule = workload.schedule
    first = not started_by(workload, stage)
    dag = DAG(
        dag_id=f"{workload.name}.{stage.name}",
        description=stage.does,
        doc_md=dag_doc(workload, stage),
        schedule=_first_timetable(workload) if first else _timetable_after(workload, stage),
        start_date=_start_of(_first_due(workload) if first else schedule.start),
        end_date=_last_tick(workload) if first else None,
        catchup=schedule.catchup and schedule.cron is not None and first,
        max_active_runs=1,
        tags=sorted({"muster", workload.name, stage.name, *workload.tags}),
        params=_guard_params() if stage.name == "promote" else None,
        default_args=task_defaults(workload),
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
    elif stage.name == "train":
        _train(dag, workload, path, shared)
    elif stage.name == "evaluate":
        EvaluateOperator(**shared)
    elif stage.name == "promote":
        PromoteOperator(spark=workload.registry == "per_group", **shared, **approval(dag, workload, path))
    elif stage.name == "score":
        ScoreOperator(**shared)
    elif stage.name == "monitor":
        _monitor(dag, workload, path, JobOperator(stage=stage.name, mlflow=stage.mlflow, **shared))
    else:
        job = JobOperator(stage=stage.name, mlflow=stage.mlflow, **shared)
        if stage.name == "features" and workload.arrivals is not None:
            corrected = asset(workload, CORRECTED)
            doc = corrected_doc(workload)
            job >> CorrectedOperator(dag=dag, task_id="corrected", workload=str(path), corrected=corrected, doc_md=doc)


def _ingest(dag: DAG, workload: Workload, path: Path, shared: dict[str, Any]) -> None:
    """Add `ingest`, and before it, where `freshness` is declared, the task that waits for its data."""
    if workload.freshness is None:
        IngestOperator(**shared)
        return
    doc = freshness_doc(workload, workload.freshness)
    sensor = DataFreshnessSensor(dag=dag, task_id="await_data", workload=str(path), doc_md=doc)
    sensor >> IngestOperator(**shared, job_options={"without": WITHOUT})


def _train(dag: DAG, workload: Workload, path: Path, shared: dict[str, Any]) -> None:
    """Add `train`, and before it, where `retrain` is declared, the task that decides whether the partition is."""
    if workload.retrain is None:
        TrainOperator(**shared)
        return
    why = "{{ ti.xcom_pull(task_ids='decide', key='why') or '' }}"
    decide = DecideOperator(dag=dag, task_id="decide", workload=str(path), doc_md=DECIDE_DOC)
    kept = asset(workload, KEPT)
    keep = KeepChampionOperator(dag=dag, task_id="keep_champion", why=why, outlets=[kept], doc_md=KEEP_DOC)
    decide >> [TrainOperator(job_options={"why": why}, **shared), keep]


def _monitor(dag: DAG, workload: Workload, path: Path, monitor: JobOperator) -> None:
    """Add the tasks that announce alarms, each by an asset of its own; without an alarm they are skipped."""
    for kind in KINDS:
        announced = asset(workload, kind)
        AnnounceOperator(
            dag=dag,
            task_id=kind,
            kind=kind,
            workload=str(path),
            result=monitor.output,
            inlets=[announced],
            outlets=[announced],
            doc_md=announce_doc(workload, kind),
        )


def _first_timetable(workload: Workload) -> BaseTimetable:
    """Return when partitions are due: one tick late, since a slice has landed only when the next begins."""
    if workload.schedule.cron is None:
        return KeyedTimetable()
    return SliceTimetable(workload.schedule.cron, timezone="UTC", run_offset=-1, key_format=KEY_FORMAT)


def _timetable_after(workload: Workload, stage: Stage) -> BaseTimetable:
    """Return the start of a stage by any of its assets: each event has the partition as its key."""
    first, *others = (asset(workload, name) for name in started_by(workload, stage))
    return PartitionedAssetTimetable(assets=AssetAny(first, *others) if others else first)


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
