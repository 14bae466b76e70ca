"""Looks at a partition's source, each in a thread of its own: one that hangs holds up no other wait's."""

from __future__ import annotations

import contextvars
import re
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from muster.errors import MusterError, reason_of
from muster.settings import settings
from muster.workload.freshness import Freshness
from muster_airflow.hooks.database import database_known
from muster_airflow.hooks.store import mask_store_password

UNASKED = "unasked: "
"""How the state begins of a source that does not answer."""
HANGS = f"{UNASKED}it hangs"

_UNDER_WAY: dict[tuple[str, str], Future[Seen]] = {}
_LOCK = threading.Lock()


class Seen(NamedTuple):
    """What a look has seen."""

    state: str
    """What tells it from what another look sees."""
    unasked: str | None = None
    """Why the source cannot be asked just now; None where it answers, or only a human can mend it."""


def see(workload: str, partition: str) -> Seen:
    """Return the present state of a partition's data, and of what is asked of them.

    Where the source cannot be asked, that is the state.
    """
    from muster.context import Context  # not while DAGs are parsed
    from muster.freshness.answer import look

    mask_store_password()
    try:
        context = Context.of_file(Path(workload), settings()).at(partition)
        with database_known(Path(workload)):
            return Seen(look(context, context.workload.freshness or Freshness()).state)
    except (MusterError, OSError) as error:
        waits = getattr(error, "retryable", True)
        return Seen(unasked_state(error), reason_of(error) if waits else None)


def unasked_state(error: BaseException) -> str:
    """Return the state of a source that cannot be asked: without numbers, as of seconds and tries, which vary."""
    return f"{UNASKED}{type(error).__name__}: {re.sub('[0-9.]+', '#', reason_of(error))}"


def under_way(workload: str, partition: str) -> Future[Seen]:
    """Return what a look will have seen: of one that is under way still, or else of a new one.

    So a source that hangs is asked by one thread a partition, however often, and by whichever trigger, it is looked.
    The threads end with the process.
    """
    key = (workload, partition)
    with _LOCK:
        if (known := _UNDER_WAY.get(key)) is not None:
            return known
        look: Future[Seen] = Future()
        look.set_running_or_notify_cancel()  # who waits for it may go, the look goes on
        _UNDER_WAY[key] = look
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_look, key, look), name=f"look at {partition}", daemon=True).start()
    return look


def _look(key: tuple[str, str], look: Future[Seen]) -> None:
    try:
        seen = see(*key)
    except BaseException as error:
        _end(key)
        look.set_exception(error)
    else:
        _end(key)
        look.set_result(seen)


def _end(key: tuple[str, str]) -> None:
    with _LOCK:
        del _UNDER_WAY[key]
