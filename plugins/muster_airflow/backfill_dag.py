"""The DAG `backfill`, of any workload: a run of it is a backfill, started with a form or by `./muster backfill`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from muster.backfill.request import AS_OF, CHAMPIONS, MANY
from muster.backfill.request import DAG as BACKFILL
from muster.workload.stages import STAGE_NAMES
from muster_airflow.dags import valid_workloads
from muster_airflow.operators.backfill import BackfillOperator
from muster_airflow.tasks import OF_ALL

AT_ONCE = 16
"""Backfills at the same time, of other workloads or other dates; each takes no slot while its runs are at work."""

RUNBOOK = """### Bring past partitions through the stages again

**When** data were corrected, partitions were left out, or a new workload is to have its past. Rows of a partition are
replaced, never doubled.

1. *Trigger* with the workload, the first and the last partition, and **Dry run** on; the log says what it would take.
2. *Trigger* again with **Dry run** off. Runs of `<workload>.<stage>` appear, one partition at a time, oldest first;
   this run waits for them without a slot, and its page says under *Storage* how far it is.
3. Its log ends with what was done, skipped, failed or missed, and why, per partition and stage.

Nothing is promoted unless **Promote** is on: then partition by partition, each against the champion as of then, never
past a later champion. Slices are scored by the champion of their own time; where there was none, `score` is skipped.
With the champion *today* the present one scores, and `seen_in_training` marks the rows that its models were trained or
judged on.

**To stop it** mark its run as failed: the stage at work ends in order, and nothing more begins. **To go on** clear its
run, or give the same command again: what is done stays, what failed or was stopped runs again.

The same from a shell, in a checkout: `./muster backfill WORKLOAD --from 2013-05-06 --to 2013-06-03 --dry-run`.
"""
TASK = (
    "- Starts the runs of a backfill, one partition at a time, and reconciles them by key at its end.\n"
    "- **When it fails**: The message, or the end of the log, says which partitions and stages are not done, and why. "
    "What is done stays. Clear the task to go on."
)


def backfill_dag(folder: Path) -> DAG:
    """Return the DAG for the workloads of a folder."""
    dag = DAG(
        dag_id=BACKFILL,
        description="Brings a range of past partitions through a workload's stages again.",
        doc_md=RUNBOOK,
        schedule=None,
        catchup=False,
        max_active_runs=AT_ONCE,
        is_paused_upon_creation=False,
        tags=["muster", BACKFILL],
        default_args={**OF_ALL, "retries": 10},
        params=_form([workload.name for workload, _ in valid_workloads(folder)]),
    )
    BackfillOperator(dag=dag, task_id=BACKFILL, doc_md=TASK)
    return dag


def _form(workloads: list[str]) -> dict[str, Any]:
    first, last = "The first partition, such as 2013-05-06.", "The last partition, itself included."
    stages = "None: all, and promote only where that is on."
    return {
        "workload": Param(type="string", enum=workloads or ["(none)"], title="Workload"),
        "from": Param(type="string", format="date", title="From", description=first),
        "to": Param(type="string", format="date", title="To", description=last),
        "stages": Param(
            [],
            type=["array", "null"],
            items={"type": "string", "enum": list(STAGE_NAMES)},
            examples=list(STAGE_NAMES),
            title="Stages",
            description=stages,
        ),
        "champion": Param(
            AS_OF,
            type="string",
            enum=list(CHAMPIONS),
            title="Champion",
            description="Who scores: the champion of each slice's own time, or today's, which may know the rows.",
        ),
        "promote": Param(False, type="boolean", title="Promote", description="Winners become champions."),
        "many": Param(False, type="boolean", title="Many", description=f"{MANY} partitions or more are meant."),
        "dry_run": Param(True, type="boolean", title="Dry run", description="Say what it would take; start nothing."),
    }
