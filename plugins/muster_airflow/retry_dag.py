"""The DAG `<workload>.retry`: started by hand, with a partition's key and a form."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from muster.settings import command
from muster.workload.spec import Workload
from muster.workload.stages import STAGES
from muster_airflow.assets import asset
from muster_airflow.operators.evaluate import EvaluateOperator
from muster_airflow.operators.job import JobOperator
from muster_airflow.operators.promote import PromoteOperator
from muster_airflow.operators.retry import FindDueOperator
from muster_airflow.tasks import approval, task_defaults
from muster_airflow.timetable import KeyedTimetable
from muster_airflow.turn import RETRY

ASKED = "{{ (params.groups | tojson) if params.groups else 'failed' }}"
"""The option `retry` of the jobs: the groups that the form names, or all that are due."""

RUN = "{{ ti.xcom_pull(task_ids='train')['run'] }}"
"""The retry's run, which the stages after `train` are about."""


def retry_dag(workload: Workload, path: Path) -> DAG:
    """Return the DAG: what is due, then the stages for just that; they update no asset but the predictions.

    An event of `models` would start `evaluate` for the whole partition.
    """
    dag = DAG(
        dag_id=f"{workload.name}.{RETRY}",
        description="Trains the groups that failed, were stale or came late; judges, promotes and scores just them.",
        doc_md=_runbook(workload),
        schedule=KeyedTimetable(),
        start_date=datetime.combine(workload.schedule.start, datetime.min.time(), UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=sorted({"muster", workload.name, RETRY, *workload.tags}),
        params=_form(),
        default_args=task_defaults(workload),
    )
    _tasks(dag, workload, path)
    return dag


def _tasks(dag: DAG, workload: Workload, path: Path) -> None:
    options = {"run": RUN}
    shared: dict[str, Any] = {"dag": dag, "workload": str(path)}
    found = FindDueOperator(task_id="find_due", job_options={RETRY: ASKED}, doc_md=_doc("find_due"), **shared)
    features = JobOperator(task_id="features", stage="features", mlflow=False, doc_md=_doc("features"), **shared)
    asked = {RETRY: ASKED, "why": "{{ params.why }}"}
    train = JobOperator(task_id="train", stage="train", job_options=asked, doc_md=_doc("train"), **shared)
    evaluate = EvaluateOperator(task_id="evaluate", job_options=options, doc_md=_doc("evaluate"), **shared)
    approved = approval(dag, workload, path, options)
    promote = PromoteOperator(
        task_id="promote",
        spark=workload.registry == "per_group",
        job_options=options,
        doc_md=_doc("promote"),
        **shared,
        **approved,
    )
    score = JobOperator(
        task_id="score",
        stage="score",
        job_options=options,
        outlets=[asset(workload, "predictions")],
        doc_md=_doc("score"),
        **shared,
    )
    found >> features >> train >> evaluate >> promote >> score
    if approved:
        evaluate >> dag.get_task("approve")


DOES = {
    "find_due": "Waits until the workload's stages are idle, then finds the groups that are due; skips where none is.",
    "features": "Builds slices that are out of date, as after a mended feature function; else it leaves them.",
    "train": "Trains the groups that are due, and reads no other's rows; `ledger` keeps their earlier rows.",
    "evaluate": "Judges just them, against the champion that has what the partition itself has promoted.",
    "promote": "Makes the winners champions, beside all other groups' models.",
    "score": "Scores their rows of the slice again; all rows where the slice was built of other rows since.",
}
"""What each task does for a retry."""

ON_FAILURE: dict[str, str] = {stage.name: stage.on_failure for stage in STAGES}


def _doc(task: str) -> str:
    refused = "The message says which group cannot be retried, and why."
    return f"""{DOES[task]}

- **When it fails**: {ON_FAILURE.get(task, refused)} Or trigger the retry again: it goes on with what is left.
"""


def _runbook(workload: Workload) -> str:
    return f"""### Retry groups of `{workload.name}`

**When** groups of a partition failed, were stale, or their rows came after it was trained, and the reason is mended.
The other groups' models stay as they are, byte for byte.

1. See what is due: `{command(f"retry {workload.name} --partition {workload.schedule.start} --dry-run")}`.
2. *Trigger* with the **Partition key** and the reason. Name *Groups* (one a line) to retry only those.
3. The log of `find_due` says how many there are, that of `train` how they ended.

**Afterwards** `ledger` has another row of each, with its `attempt`. Where a later partition's champion is there
already, nothing is promoted: do nothing, for the next partition trains these groups too, or retry the later one.

The same from a shell: `{command(f"retry {workload.name} --partition {workload.schedule.start}")}`.
"""


def _form() -> dict[str, Any]:
    return {
        "groups": Param(
            [],
            type=["array", "null"],
            items={"type": "string"},
            title="Groups",
            description="One a line, as in the tables: UA,EWR,ORD. None: all that failed, were stale or came late.",
        ),
        "why": Param("", type="string", maxLength=1000, title="Why", description="For the runs of MLflow."),
    }
