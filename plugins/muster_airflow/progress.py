"""How far a job is, on its task's page while it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from muster.progress import shown_in
from muster_airflow.run_note import RunNote

if TYPE_CHECKING:
    from airflow.sdk import Context

SHOWN_AS = "progress"
"""The key under which the task's page, under *Storage*, tells how far its job is; the note on its run does, too."""

log = logging.getLogger(__name__)


class Show(Protocol):
    """What shows a job's line, where it tells of progress."""

    def __call__(self, line: str) -> None: ...


@contextmanager
def progress_shown(context: Context) -> Iterator[Show]:
    """Give what is called with each line of a job; once it has ended, its progress is shown no longer."""
    store, note, shown = context["task_state_store"], RunNote(context, log), False

    def show(line: str) -> None:
        nonlocal shown
        if (how_far := shown_in(line)) is not None:
            shown = True
            note.write(how_far)
            store.set(SHOWN_AS, {"done": how_far, "at": datetime.now(UTC).isoformat(timespec="seconds")})

    try:
        yield show
    finally:
        if shown:
            store.delete(SHOWN_AS)
            note.clear()
