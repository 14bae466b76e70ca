"""What a task that waits for data remembers, and shows on its page: until when, what is missing, since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import TaskDeferred

from muster_airflow.backfill import followed_backfill
from muster_airflow.run_note import RunNote
from muster_airflow.triggers.arrival import SOON, ArrivalTrigger

if TYPE_CHECKING:
    from logging import Logger

    from airflow.sdk import Context

SHOWN_AS, DEADLINE = "waiting_for_data", "data_deadline"
"""Keys on the task's page, under *Storage*: what it waits for, and until when."""
OWN = ("until", "why", "since", "state")
"""What is shown beside the answer itself."""


def deadline_of(context: Context, slice_end: datetime, wait: timedelta, retries: int) -> datetime:
    """Return until when a task waits: from when its partition was due, the same for each of its retries.

    A partition is due when its run is: a scheduled one's at its tick, any other's when it was asked for; that of a
    backfill is of long ago, so what is not there then is late at once. None is due before its slice has ended. Where a
    human has cleared this very task since, it waits anew from now on; not where another task of the run was, nor where
    a backfill has taken up the run once more.
    """
    store, run, tries = context["task_state_store"], context["dag_run"], context["ti"].max_tries
    followed = followed_backfill(context) is not None
    of_backfill = followed or run.run_type == "backfill"
    known = store.get(DEADLINE) or {"max_tries": retries}
    # Airflow raises the most tries of a task that is cleared, by those that it has had, and of no other.
    cleared = tries > known.get("max_tries", tries)
    by_backfill = of_backfill and not known.get("of_backfill")
    asked_for = slice_end if followed else (run.run_after or datetime.now(UTC))
    begun = known.get("due") or asked_for.isoformat()
    due = datetime.now(UTC) if cleared and not by_backfill else datetime.fromisoformat(begun)
    deadline = max(due, slice_end) + wait
    now = {"due": due.isoformat(), "until": deadline.isoformat(), "max_tries": tries, "of_backfill": of_backfill}
    if now != known:
        store.set(DEADLINE, now)
    return deadline


class Shown:
    """What stands on the task's page, and in the note on its run: a state once, however often it is asked about."""

    def __init__(self, context: Context, log: Logger) -> None:
        self._store = context["task_state_store"]
        self._note = RunNote(context, log)
        self._log = log

    def counted(self, state: str, until: datetime) -> dict[str, Any] | None:
        """Return what was shown of this very state, where its rows were counted within this very wait."""
        known = self._known(state, until)
        return {name: value for name, value in known.items() if name not in OWN} if "row_count" in known else None

    def waits(self, state: str, why: str, until: datetime, answer: Mapping[str, Any]) -> None:
        """Show what does not hold, and since when; nothing new where that is shown."""
        if not self._known(state, until):
            self._show(state, why, until, answer)

    def unread(self, state: str, why: str, until: datetime, answer: Mapping[str, Any]) -> int:
        """Show that what has come cannot be read just now; return how often that was so of this very state."""
        times = self._known(state, until).get("unread", 0) + 1
        self._show(state, why, until, {**answer, "unread": times})
        return int(times)

    def _show(self, state: str, why: str, until: datetime, answer: Mapping[str, Any]) -> None:
        shown = {"until": _text(until), "why": why, "since": _text(datetime.now(UTC))}
        self._store.set(SHOWN_AS, {**shown, **answer, "state": state})
        self._note.write(f"waits for data until {shown['until']} at most: {why}")
        there = f"{answer['days']} days are there; " if "days" in answer else ""
        self._log.info("%s%s; waits until %s at most, no slot is held", there, why, shown["until"])

    def ends(self, answer: Mapping[str, Any]) -> None:
        """Show no longer that the task waits, and tell what is there."""
        if self._store.get(SHOWN_AS):
            self._note.clear()
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


@dataclass(frozen=True)
class Wait:
    """A task's wait for a partition's data."""

    context: Context
    workload: str
    """The path of its YAML."""
    partition: str
    deadline: datetime
    every: float
    """Seconds between two looks."""
    shown: Shown

    @property
    def is_late(self) -> bool:
        """Whether the deadline is past."""
        return datetime.now(UTC) >= self.deadline

    def defer(self, known: str, seen: str | None = None, again: datetime | None = None) -> NoReturn:
        """Give the slot back until the state is no longer `known`, or it is `again` time to read what is there.

        With `seen` until that state is seen a second time: past the deadline too, a few looks long.
        """
        until = self.deadline if seen is None else max(self.deadline, datetime.now(UTC) + self._settling)
        read_again = again.isoformat() if again else None
        trigger = ArrivalTrigger(
            self.workload, self.partition, known, until.isoformat(), self.every, seen=seen, again=read_again
        )
        raise TaskDeferred(trigger=trigger, method_name="resume", kwargs={})

    @property
    def _settling(self) -> timedelta:
        return timedelta(seconds=5 * min(self.every, SOON))
