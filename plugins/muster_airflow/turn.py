"""A partition is judged in its turn: once the promotion before it has ended, and so against what that has left.

A retry of some groups takes its turn too: it begins when the stages are idle, and they wait while it is at work.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk.exceptions import AirflowRuntimeError, TaskDeferred

from muster.storage.results import UNPROMOTED, stage_results
from muster_airflow.backends.local import store_of
from muster_airflow.backfill import backfill_of

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

STARTED_WITHIN = timedelta(seconds=60)
"""Within which Airflow has started the promotion of a partition that was judged."""

PAUSE_BETWEEN = (timedelta(seconds=5), timedelta(minutes=2))
"""How soon, and how late at most, it is looked again whether the turn has come: after a fifth of the wait so far."""

DAG_RUN = "dag_run"
"""What the result of a review calls the run of Airflow that asked for it."""

SHOWN_AS = "waiting_for_turn"
"""The key under which the task's page, under *Storage*, tells of the wait."""


RETRY = "retry"
"""The DAG of a workload that retries groups, `<workload>.retry`."""

AT_WORK = ("features", "train", "evaluate", "approve", "promote")
"""Its tasks beside which the workload's own training and judging would be in the way. While it only waits to begin, in
its first task, they go on: else each would wait for the other."""

ACTIVE = ("scheduled", "queued", "running", "deferred", "awaiting_input", "up_for_retry", "up_for_reschedule")
"""The states of a task that has begun, or is about to, and has not ended."""

WAITED_FOR = ("features", "train", "evaluate", "promote")
"""The stages that a retry lets end first."""


def await_turn(task: BaseOperator, context: Context, why: str | None, since: float | None) -> None:
    """Defer the task, which then goes on in its method `take_turn`, while there is a reason why it has to wait.

    Raises:
        TaskDeferred: which is how Airflow takes the slot back.
    """
    if why is None:
        context["task_state_store"].delete(SHOWN_AS)
        return
    since = since or time.time()
    least, most = PAUSE_BETWEEN
    pause = min(most, max(least, timedelta(seconds=(time.time() - since) / 5)))
    context["task_state_store"].set(SHOWN_AS, {"why": why})
    task.log.warning("Waits for its turn: %s; looks again in %.0f s, no slot is held", why, pause.total_seconds())
    raise TaskDeferred(trigger=TimeDeltaTrigger(pause), method_name="take_turn", kwargs={"since": since})


def retry_before(context: Context, workload: str) -> str | None:
    """Return the retry of some groups that is at work; None where none is, and for a task of the retry itself."""
    dag, ti = f"{Path(workload).stem}.{RETRY}", context["ti"]
    if ti.dag_id == dag or not ti.get_ti_count(dag, task_ids=list(AT_WORK), states=list(ACTIVE)):
        return None
    return f"'{dag}' is at work, or waits for an answer"


def stage_before(context: Context, workload: str) -> str | None:
    """Return the stage of a workload that is at work, or is about to be; None where none is. A paused one is not."""
    for stage in WAITED_FOR:
        dag = f"{Path(workload).stem}.{stage}"
        if not is_paused(context, dag) and context["ti"].get_dr_count(dag, states=["queued", "running"]):
            return f"'{dag}' is at work, or waits for an answer"
    return None


def promotion_before(context: Context, workload: str) -> str | None:
    """Return which promotion comes first; None where none does, or none would: it is paused, or not for a backfill.

    None also while a human is asked about this very partition: its run of `promote` is the only one at work, and others
    are queued behind the answer. A partition that is judged again then is not judged against what that would leave.
    """
    dag, ti, partition = f"{Path(workload).stem}.promote", context["ti"], str(context.get("partition_key"))
    backfill = backfill_of(context)
    if (backfill and not backfill.promote) or is_paused(context, dag):
        return None
    asked = _runs_that_asked(workload, partition)
    if asked and ti.get_dr_count(dag, run_ids=asked, states=["running"]):
        return None
    if ti.get_dr_count(dag, states=["queued", "running"]):
        return f"'{dag}' is at work, or waits for an answer"
    judged = _judged_just_now(workload, partition)
    return f"'{dag}' is about to promote partition {judged}" if judged else None


def is_paused(context: Context, dag: str) -> bool:
    """Tell whether nothing is started by a DAG: it is paused, or there is none of that name."""
    try:
        return bool(context["ti"].get_dag(dag).is_paused)
    except AirflowRuntimeError:
        return True


def _runs_that_asked(workload: str, partition: str) -> list[str]:
    """Return the runs of Airflow that have asked a human about a partition's promotion, whatever came of it."""
    reviews = [result.read() for result in stage_results(store_of(workload), "review", partition)]
    return sorted({review[DAG_RUN] for review in reviews if review.get("needs_approval") and review.get(DAG_RUN)})


def _judged_just_now(workload: str, own: str) -> str | None:
    """Return the partition that was judged so recently that Airflow may not have begun to promote it."""
    store = store_of(workload)
    judged = (result for result in stage_results(store, "evaluate") if result.partition != own)
    others = [result for result in judged if f"/{result.partition}-{UNPROMOTED}." not in result.path]
    last = max(others, key=lambda result: result.at, default=None)
    if last is None or datetime.now(UTC) - last.at > STARTED_WITHIN:
        return None
    promoted = stage_results(store, "promote", last.partition)
    return None if any(result.at >= last.at for result in promoted) else last.partition
