"""How many of a day's rows may be refused: more than the declared share fails ingest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from muster.errors import MusterError, bounded
from muster.ingest.repeats import REPEATS
from muster.settings import command
from muster.workload.spec import Workload


class TooManyRefused(MusterError):
    """Raised when too large a share of a day's rows is refused: they are in `quarantine`, the day is not taken."""

    def __init__(self, workload: Workload, days: Mapping[date, Counter[str | None]]) -> None:
        counts = [f"{_refused(reasons)} of {reasons.total()} rows of {day}" for day, reasons in days.items()]
        total = sum(days.values(), Counter[str | None]())
        reasons = [f"{reason} ({rows})" for reason, rows in total.most_common() if reason not in (None, REPEATS)]
        shown = command(f"show {workload.name} quarantine")
        super().__init__(
            f"{workload.name} refuses {bounded(counts)}: {bounded(reasons, shown=5)}; "
            f"max_refused allows a share of {workload.max_refused:g} of a day. `{shown}` has the rows that ingest has "
            "read. Have the files delivered again, or correct what the YAML declares, then run ingest again"
        )


def check_refused(workload: Workload, days: Mapping[date, Counter[str | None]]) -> None:
    """Check each day's rows, counted by reason (None of the good ones). Rows that only repeat another do not count.

    Raises:
        TooManyRefused: naming the days.
    """
    bad = {
        day: reasons
        for day, reasons in sorted(days.items())
        if _refused(reasons) > workload.max_refused * (reasons.total() - reasons[REPEATS])
    }
    if bad:
        raise TooManyRefused(workload, bad)


def surely_taken(workload: Workload, rows: int, wrong: int, repeating: int) -> bool:
    """Return whether a day's rows pass `check_refused` whatever those are that repeat others.

    `wrong` of them are refused by themselves; `repeating` share their `unique` values with an earlier good row. Each of
    those, and the row before it, may be refused; or it does not count at all.
    """
    return wrong + 2 * repeating <= workload.max_refused * (rows - repeating)


def _refused(reasons: Counter[str | None]) -> int:
    return reasons.total() - reasons[None] - reasons[REPEATS]
