"""What people are told: one message of a missed deadline, and one when it is over."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from muster.deadlines.missed import RUNBOOK, Key, Missed, What
from muster.workload.spec import Workload
from muster.workload.zone import local_time

SUBJECTS: dict[What, str] = {
    "data": "data of {} are late",
    "predictions": "predictions of {} are late",
    "champion": "the champion is old",
}
ABOUT = (
    ("since", "Since"),
    ("why", "Why"),
    ("last_done", "Last done"),
    ("how", "How"),
    ("do", "Do"),
    ("runbook", "Runbook"),
    ("airflow", "Airflow"),
)
"""What a message has of each field that it has, in this order; and the field's name in a webhook's JSON."""
VERSION = 1


@dataclass(frozen=True)
class Message:
    """What is sent, whichever way."""

    workload: str
    key: Key
    state: Literal["late", "over"]
    since: datetime
    fields: dict[str, str]
    """By the names in `ABOUT`."""

    @property
    def id(self) -> str:
        """The same for the same message, should it be sent twice."""
        text = "\n".join([self.workload, str(self.key), self.state, self.since.isoformat()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def subject(self) -> str:
        """One line."""
        told = SUBJECTS[self.key.what].format(self.key.partition)
        return f"{self.workload}: {told}" if self.state == "late" else f"{self.workload}: over: {told}"

    @property
    def lines(self) -> list[str]:
        """What follows the subject."""
        return [f"{title}: {self.fields[name]}" for name, title in ABOUT if self.fields.get(name)]

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([self.subject, *self.lines])

    @property
    def sentence(self) -> str:
        """One line with what an operator needs first, without the workload's name."""
        told, fields = self.subject.partition(": ")[2], self.fields
        why = f"; {fields['why']}" if fields.get("why") else ""
        return f"{told} since {fields['since']}{why}; last done: {fields['last_done']}; {fields['do']}"

    @property
    def json(self) -> dict[str, Any]:
        """What a webhook is sent."""
        return {
            "version": VERSION,
            "id": self.id,
            "state": self.state,
            "workload": self.workload,
            "what": self.key.what,
            "partition": self.key.partition,
            **{name: self.fields.get(name) or None for name, _ in ABOUT},
            "since": self.since.astimezone(UTC).isoformat(),
            "subject": self.subject,
            "text": self.text,
        }


def late(workload: Workload, missed: Missed, airflow: str = "") -> Message:
    """Return the message of a missed deadline; `airflow`: the address of its pages."""
    fields = {
        "since": f"{clock(workload, missed.since)}, by {missed.declared}",
        "why": missed.why or "",
        "last_done": missed.last,
        "do": missed.do,
        "runbook": missed.page,
        "airflow": f"{airflow.rstrip('/')}/dags/{missed.dag}" if airflow else "",
    }
    return Message(workload.name, missed.key, "late", missed.since, fields)


def over(workload: Workload, key: Key, since: datetime, how: str) -> Message:
    """Return the message that a deadline which was missed is no more."""
    fields = {"since": clock(workload, since), "how": how, "runbook": RUNBOOK[key.what]}
    return Message(workload.name, key, "over", since, fields)


def clock(workload: Workload, moment: datetime) -> str:
    """Return a moment as the workload's clocks show it, and in UTC."""
    utc = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return (
        utc if workload.zone is None else f"{local_time(workload.zone, moment):%Y-%m-%d %H:%M} {workload.zone} ({utc})"
    )
