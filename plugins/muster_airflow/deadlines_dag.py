"""The DAG `deadlines`, of all workloads that declare any: every five minutes, from the start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from airflow.sdk import DAG

from muster.errors import WorkloadError
from muster.workload.deadlines import Deadlines
from muster.workload.load import declared_files, load_sound_part
from muster.workload.spec import Workload
from muster_airflow.operators.deadlines import DeadlinesOperator
from muster_airflow.tasks import RETRY_DELAY

OFTEN = "*/5 * * * *"
RUNBOOK = """### Tell people when data, predictions or a champion are late

Every five minutes a task of each workload looks whether its `deadlines:` hold, also where no run came at all: it reads
the results of jobs and the journal in the store. Who stands in `alerts:` is told once, and once more when it is over.

- **Paused**, this DAG tells nobody; nor of a workload of whose YAML not even the dates can be read.
- **A red task** could not reach somebody; its log names whom. The others were told, and the next run tries again.
- What to do about a message: its last lines name the section of the runbook, and the DAG to look at.

Declared now:

"""
TASK = (
    "- Looks at this workload's deadlines; its log and its XCom have what is missed.\n- **When it fails**: somebody "
    "could not be reached, or the store could not be read; the message says which. The next run tries again."
)


def deadlines_dag(folder: Path) -> DAG | None:
    """Return the DAG for the workloads of a folder that declare deadlines, a task each; None where none does."""
    workloads = list(_watched(folder))
    if not workloads:
        return None
    dag = DAG(
        dag_id="deadlines",
        description="Tells people when a workload's data, predictions or champion are late, and when that is over.",
        doc_md=RUNBOOK + "\n".join(map(_declared, workloads)),
        schedule=OFTEN,
        start_date=datetime(2024, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["muster", "deadlines"],
        default_args={
            "retries": 0,  # the next run is the next try
            "retry_delay": RETRY_DELAY,
            "execution_timeout": timedelta(minutes=10),
            "priority_weight": 1_000,  # before whatever waits for a slot
            "weight_rule": "absolute",
        },
    )
    for one in workloads:
        DeadlinesOperator(dag=dag, task_id=one.file.stem, workload=str(one.file), owner=one.workload.owner, doc_md=TASK)
    return dag


class _Watched(NamedTuple):
    file: Path
    workload: Workload
    deadlines: Deadlines
    refused: bool


def _watched(folder: Path) -> Iterator[_Watched]:
    """Yield the workloads with deadlines; also those whose YAML is refused, of which nothing else runs."""
    for file in declared_files(folder):
        try:
            workload, refused = load_sound_part(file)
        except WorkloadError:
            continue  # dags/refused_workloads.py says why
        if workload.deadlines is not None:
            yield _Watched(file, workload, workload.deadlines, refused is not None)


def _declared(one: _Watched) -> str:
    if one.refused:
        return (
            f"- **{one.file.stem}**: its YAML is refused, so nothing of it runs; it is watched as far as it can be read"
        )
    workload, deadlines = one.workload, one.deadlines
    times = {name: getattr(deadlines, name) for name in ("data_by", "predictions_by")}
    listed = [f"`{name}: {by}` {workload.zone or 'UTC'}" for name, by in times.items() if by]
    if deadlines.champion_no_older_than:
        listed.append(f"`champion_no_older_than: {deadlines.champion_no_older_than}d`")
    whom = ", ".join(f"{alert.kind} by `{alert.connection}`" for alert in workload.alerts)
    return f"- **{one.file.stem}**: {', '.join(listed)}; tells {whom or 'nobody: seen here and in `status` only'}"
