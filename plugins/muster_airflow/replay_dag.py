"""The DAG `replay`, of any workload: started by hand, with a form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from muster.workload.stages import STAGE_NAMES
from muster_airflow.dags import valid_workloads
from muster_airflow.operators.replay import ReplayOperator
from muster_airflow.tasks import OF_ALL

DAY = r"^(\d{4}-\d{2}-\d{2})?$"
RUNBOOK = """### Post events again

**When** a stage was paused while the one before it ended, or its runs were deleted: Airflow starts nothing for events
of that time, also once the stage is unpaused. Nothing is computed here; the stage and all after it run for each
partition that is posted.

1. Unpause the stage's DAG. *Trigger* with the workload and the stage that is to run, and leave **Dry run** on. Leave
   *Partitions*, *First* and *Last* empty for all that wait for it.
2. Read the log of `post`: what waits, and what would be posted.
3. *Trigger* again with **Dry run** off.

Arrivals need none of it: what comes while `ingest` is paused, its DAG `watch` announces afterwards.
"""
FAILS = "- **When it fails**: nothing was posted; the message says why and what to do. Clearing the task posts anew."


def replay_dag(folder: Path) -> DAG:
    """Return the DAG for the workloads of a folder."""
    dag = DAG(
        dag_id="replay",
        description="Posts the events again that start a stage, for partitions that wait for it; looks first.",
        doc_md=RUNBOOK,
        schedule=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["muster", "replay"],
        default_args=OF_ALL,
        params=_form([workload.name for workload, _ in valid_workloads(folder)]),
    )
    ReplayOperator(
        dag=dag,
        task_id="post",
        workload=f"{folder}/{{{{ params.workload }}}}.yaml",
        stage="{{ params.stage }}",
        partitions="{{ (params.partitions or []) | tojson }}",
        first="{{ params.first or '' }}",
        last="{{ params.last or '' }}",
        why="{{ params.why or '' }}",
        who="{{ dag_run.triggering_user_name or '' }}",
        dry_run="{{ params.dry_run | tojson }}",
        doc_md=f"- Shows which partitions wait for a stage, and posts their events; skipped in a dry run.\n{FAILS}",
    )
    return dag


def _form(workloads: list[str]) -> dict[str, Any]:
    about = "One a line, as 2013-08-19. None, with no first: all that wait for the stage."
    return {
        "workload": Param(type="string", enum=workloads or ["(none)"], title="Workload"),
        "stage": Param(type="string", enum=list(STAGE_NAMES), title="Stage", description="The one that is to run."),
        "partitions": Param(
            [], type=["array", "null"], items={"type": "string"}, title="Partitions", description=about
        ),
        "first": Param(None, type=["null", "string"], pattern=DAY, title="First", description="Or a range of them."),
        "last": Param(None, type=["null", "string"], pattern=DAY, title="Last", description="None: the first alone."),
        "why": Param("", type="string", title="Why", description="It stands on the events."),
        "dry_run": Param(True, type="boolean", title="Dry run", description="Say what would be posted; post nothing."),
    }
