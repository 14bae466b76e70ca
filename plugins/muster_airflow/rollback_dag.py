"""The DAG `rollback`, of any workload: started by hand, with a form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from muster.settings import command
from muster_airflow.dags import valid_workloads
from muster_airflow.operators.rollback import CompareOperator, RollbackOperator
from muster_airflow.tasks import OF_ALL

RUNBOOK = f"""### Roll a champion back

**When** predictions are bad since a promotion, or the AUC after it fell. Nothing is trained; it takes seconds.

1. *Trigger* with the workload and the reason, and leave **Dry run** on. Leave *Version* empty for the champion of
   before the last promotion. Name *Groups* (one a line, `UA,EWR,ORD`) to roll back only those: each gets the model it
   had before its present one, or the model of *Version*; the other groups stay. Where each group is a registered model
   of its own (`registry: per_group`): no groups means all that the last promotion changed; *Version* needs one group.
   With `present` the champions stay, and what MLflow has lost of their files is uploaded again; with `none` the named
   groups have no champion then.
2. Read the log of `compare` (or its XCom `difference`): from which version to which, and each group's model before and
   after.
3. *Trigger* again with **Dry run** off. `roll_back` moves the champion at once and whole, and writes your name and the
   reason into `alias_journal`. Where the champion was moved since `compare` looked, nothing is moved.
4. Clear `<workload>.score` of the partitions to answer again.

**Afterwards** the next partition is judged against what you went back to. What was rolled back is not promoted again by
clearing its tasks. **To undo it** roll back to the newer version. To keep the next partition from promoting: pause
`<workload>.promote`; what is judged meanwhile is not promoted when you unpause it: trigger it with that partition key.

The same from a shell: `{command("rollback WORKLOAD --dry-run")}`.
"""
FAILS = (
    "- **When it fails**: the champion is as it was; the message says why and what to do. Clearing the task is safe."
)


def rollback_dag(folder: Path) -> DAG:
    """Return the DAG for the workloads of a folder."""
    dag = DAG(
        dag_id="rollback",
        description="Goes back to an earlier champion, whole or for chosen groups; looks first.",
        doc_md=RUNBOOK,
        schedule=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["muster", "rollback"],
        default_args=OF_ALL,
        params=_form([workload.name for workload, _ in valid_workloads(folder)]),
    )
    asked: dict[str, Any] = {
        "dag": dag,
        "workload": f"{folder}/{{{{ params.workload }}}}.yaml",
        "version": "{{ params.version or '' }}",
        "groups": "{{ (params.groups or []) | tojson }}",
    }
    compare = CompareOperator(
        task_id="compare", doc_md=f"- Shows what a rollback would change; moves nothing.\n{FAILS}", **asked
    )
    roll_back = RollbackOperator(
        task_id="roll_back",
        against="{{ ti.xcom_pull(task_ids='compare')['against'] }}",
        who="{{ dag_run.triggering_user_name or '' }}",
        why="{{ params.why }}",
        dry_run="{{ params.dry_run | tojson }}",
        doc_md=f"- Moves the champion as `compare` has shown; skipped in a dry run.\n{FAILS}",
        **asked,
    )
    compare >> roll_back
    return dag


def _form(workloads: list[str]) -> dict[str, Any]:
    return {
        "workload": Param(type="string", enum=workloads or ["(none)"], title="Workload"),
        "version": Param(
            None,
            type=["null", "string"],
            pattern=r"^(\d*|present|none)$",
            title="Version",
            description="A version of the registered model that was champion. Empty: the one before. `present`: what "
            "MLflow has lost of the champions is uploaded again. `none`: the groups are left without a champion.",
        ),
        "groups": Param(
            [],
            type=["array", "null"],
            items={"type": "string"},
            title="Groups",
            description="One a line, as in the tables: UA,EWR,ORD. None: the whole pack.",
        ),
        "why": Param(type="string", minLength=3, maxLength=1000, title="Why", description="For the journal."),
        "dry_run": Param(True, type="boolean", title="Dry run", description="Show the difference; move nothing."),
    }
