"""How many of a day's rows may be refused."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from muster.ingest.refusals import TooManyRefused, check_refused
from muster.ingest.repeats import REPEATS
from tests.ingest.test_due_days import WORKLOAD

ONE, OTHER = date(2024, 1, 15), date(2024, 1, 16)


@pytest.mark.parametrize(
    ("reasons", "share"),
    [({None: 1, "a": 1}, 0.5), ({None: 1}, 0), ({"a": 2}, 1), ({None: 1, REPEATS: 9}, 0), ({}, 0), ({None: 1}, 0.5)],
)
def test_a_share_that_is_not_above_the_declared_one_is_taken(reasons: dict[str | None, int], share: float) -> None:
    check_refused(WORKLOAD.model_copy(update={"max_refused": share}), {ONE: Counter(reasons)})


@pytest.mark.parametrize(
    ("reasons", "share", "counts"),
    [
        ({"a": 2}, 0.5, "2 of 2"),
        ({None: 1, "a": 10, "b": 9}, 0.5, "19 of 20"),
        ({None: 1, "a": 1, REPEATS: 8}, 0.4, "1 of 10"),
        ({None: 999, "a": 1}, 0, "1 of 1000"),
    ],
)
def test_a_larger_share_of_one_day_fails_whatever_the_other_days_are(
    reasons: dict[str | None, int], share: float, counts: str
) -> None:
    workload = WORKLOAD.model_copy(update={"max_refused": share})
    with pytest.raises(TooManyRefused, match=rf"made refuses {counts} rows of 2024-01-15: a \(.*show made quarantine"):
        check_refused(workload, {OTHER: Counter({None: 10_000}), ONE: Counter(reasons)})
