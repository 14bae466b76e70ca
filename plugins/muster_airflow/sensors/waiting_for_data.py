"""What a task that waits for data remembers, and shows on its page: until when, what is missing, since when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import Logger

    from airflow.sdk import Context

SHOWN_AS, DEADLINE = "waiting_for_data", "data_deadline"
"""Keys on the task's page, under *Storage*: what it waits for, and until when."""


def deadline_of(context: Context, slice_end: datetime, wait: timedelta) -> datetime:
    """Return until when a task waits: from when its partition was due, the same for each of its retries.

    A partition is due when its run is: a scheduled one's at its tick, any other's when it was asked for; that of a
    backfill is of long ago, so what is not there then is late at once. None is due before its slice has ended. Where a
    human has cleared the run since, it waits anew from now on.
    """
    store, run = context["task_state_store"], context["dag_run"]
    cleared = run.clear_number or 0
    known = store.get(DEADLINE)
    if known and known["cleared"] == cleared:
        return max(datetime.fromisoformat(known["due"]), slice_end) + wait
    due = datetime.now(UTC) if cleared else (run.run_after or datetime.now(UTC))
    deadline = max(due, slice_end) + wait
    store.set(DEADLINE, {"due": due.isoformat(), "until": deadline.isoformat(), "cleared": cleared})
    return deadline


class Shown:
    """What stands on the task's page. A state is told once, in the log and there, however often it is asked about."""

    def __init__(self, store: Any, log: Logger) -> None:
        self._store = store
        self._log = log

    def problems(self, state: str, until: datetime) -> tuple[str, ...] | None:
        """Return what did not hold in this very state, where its rows were counted within this very wait."""
        known = self._known(state, until)
        return tuple(known["problems"]) if "row_count" in known else None

    def waits(self, state: str, why: str, until: datetime, answer: Mapping[str, Any]) -> None:
        """Show what does not hold, and since when; nothing new where that is shown."""
        if self._known(state, until):
            return
        shown = {"until": _text(until), "why": why, "since": _text(datetime.now(UTC))}
        self._store.set(SHOWN_AS, {**shown, **answer, "state": state})
        there = f"{answer['days']} days are there; " if answer else ""
        self._log.info("%s%s; waits until %s at most, no slot is held", there, why, shown["until"])

    def ends(self, answer: Mapping[str, Any]) -> None:
        """Show no longer that the task waits, and tell what is there."""
        self._store.delete(SHOWN_AS)
        what = ""
        if "row_count" in answer:
            newest = answer["newest_event"]
            what = f", {answer['row_count']:,} rows of {answer['groups']:,} groups, the newest of {newest}"
        self._log.info("%s days are there%s", answer["days"], what)

    def _known(self, state: str, until: datetime) -> dict[str, Any]:
        shown = self._store.get(SHOWN_AS) or {}
        return shown if (shown.get("state"), shown.get("until")) == (state, _text(until)) else {}


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
