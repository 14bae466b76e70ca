"""A task that MLflow has no room for gives its slot back, shows until when and why, and comes back by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn
from zlib import crc32

from airflow.sdk.exceptions import TaskDeferred

from muster.settings import settings
from muster_airflow.exceptions import MlflowClosed, WaitedTooLong
from muster_airflow.triggers.mlflow_budget import MlflowBudgetTrigger

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

MAX_WAIT = timedelta(hours=6)
"""For how long in all a task waits for MLflow before it fails."""

SPREAD = 0.2
"""The share of the wait over which tasks that wait for the same moment come back."""

SPREAD_BETWEEN = (2.0, 60.0)
"""The least and the most seconds of that: fifty tasks do not come back in step, and none comes back much too late."""

SHOWN_AS = "waiting_for_mlflow"
"""The key under which the task's page, under *Storage*, tells of the wait."""


def come_back_at(until: datetime, now: datetime, key: str) -> datetime:
    """Return when a task should come back: never before `until`, each `key` at a time of its own."""
    least, most = SPREAD_BETWEEN
    spread = min(most, max(least, SPREAD * (until - now).total_seconds()))
    return max(until, now) + timedelta(seconds=spread * crc32(key.encode()) / 2**32)


def check_closed(uri: str) -> None:
    """Ask this host's budget whether the server wants no calls, so that no job starts only to wait.

    Raises:
        MlflowClosed: when it wants none for longer than a call's own patience.
    """
    from muster.mlflow.budget import closure

    own = settings().model_copy(update={"mlflow_uri": uri})
    closed = closure(own)
    if closed and (closed.until - datetime.now(UTC)).total_seconds() > own.mlflow_waiting.patience:
        raise MlflowClosed(closed.until, closed.why)


def defer(
    task: BaseOperator, context: Context, closed: MlflowClosed, since: datetime | None, max_wait: timedelta
) -> NoReturn:
    """Defer the task until MLflow takes calls again; `since` is when it first had to wait.

    Raises:
        TaskDeferred: always, which is how Airflow takes the slot back; the task goes on in its method `resume`.
        WaitedTooLong: when it would wait longer than `max_wait` in all.
    """
    now = datetime.now(UTC)
    since, ti = since or now, context["ti"]
    back = come_back_at(closed.until, now, f"{ti.dag_id} {ti.run_id} {ti.task_id} {ti.map_index}")
    if back - since > max_wait:
        raise WaitedTooLong(since, closed.until, closed.why, max_wait)
    shown = {"until": closed.until.isoformat(timespec="seconds"), "why": closed.why}
    context["task_state_store"].set(SHOWN_AS, {**shown, "since": since.isoformat(timespec="seconds")})
    task.log.warning("MLflow takes no calls before %s", shown["until"])
    task.log.warning("Why: %s", shown["why"])
    seconds, at = (back - now).total_seconds(), back.isoformat(timespec="seconds")
    task.log.warning("Gave the slot back; goes on in %.0f s, at %s; no retry is used", seconds, at)
    trigger = MlflowBudgetTrigger(back.isoformat(), closed.why)
    raise TaskDeferred(trigger=trigger, method_name="resume", kwargs={"since": since.isoformat()})


def clear_wait(context: Context) -> None:
    """Show no longer that the task waits."""
    context["task_state_store"].delete(SHOWN_AS)
