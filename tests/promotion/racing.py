"""Two processes that move an alias in the same moment: each waits, right before it journals, for the other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from unittest import mock

from muster.champions.journal import Journal
from muster.errors import MusterError

MOST = 120.0
"""Seconds that one waits for the other."""


def race(line: Any, what: str, meeting: Path) -> dict[str, Any]:
    """Roll back or promote a partition once both are in the folder `meeting`; return where to, or the error."""
    append = Journal.append

    def together(*arguments: Any) -> Any:
        (meeting / what).touch()
        until = time.monotonic() + MOST
        while len(list(meeting.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        return append(*arguments)

    with mock.patch.object(Journal, "append", together):
        try:
            made = line.roll_back() if what == "rollback" else line.promote(what, "gate")
        except MusterError as error:
            return {"error": type(error).__name__, "told": str(error)}
    return {"to": made["to_version"], "moved": made["moved"]}
