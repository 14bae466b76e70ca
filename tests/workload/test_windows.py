"""A partition's date ranges."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from muster.workload.spec import Workload
from muster.workload.windows import DateRange, NotAPartition, partition_windows, slice_of

MONDAY = date(2013, 4, 29)


def workload(train: int = 28, evaluate: int = 28, lookback: int = 0, **schedule: Any) -> Workload:
    return Workload.model_validate(
        {
            "name": "flights",
            "keys": ["carrier"],
            "time": "dep",
            "unique": ["carrier", "dep"],
            "columns": {"carrier": "string", "dep": "timestamp", "delay": "float?"},
            "label": {"column": "delay", "above": 15},
            "features": {"columns": ["hour"], "lookback": lookback},
            "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
            "windows": {"train": train, "evaluate": evaluate},
            "schedule": {"start": MONDAY, **schedule},
        }
    )


def test_ranges_follow_one_another_without_a_gap_or_an_overlap() -> None:
    windows = partition_windows(workload(train=56, evaluate=28), "2013-07-29")
    assert windows.train == DateRange(date(2013, 5, 6), date(2013, 7, 1))
    assert windows.evaluate == DateRange(date(2013, 7, 1), date(2013, 7, 29))
    assert windows.score == DateRange(date(2013, 7, 29), date(2013, 8, 5))


def test_nothing_judged_on_is_trained_on_or_scored() -> None:
    windows = partition_windows(workload(), "2013-07-29")
    trained, judged, scored = (set(part.days()) for part in (windows.train, windows.evaluate, windows.score))
    assert not trained & judged
    assert not judged & scored
    assert max(trained) < min(judged)


def test_next_partition_judges_the_days_that_this_one_scores() -> None:
    first, second = (partition_windows(workload(evaluate=7), day) for day in ("2013-07-22", "2013-07-29"))
    assert first.score == second.evaluate


def test_history_is_whole_slices_that_cover_train_and_evaluate() -> None:
    windows = partition_windows(workload(train=10, evaluate=5), "2013-07-29")
    assert windows.train.start == date(2013, 7, 14)
    assert windows.history == DateRange(date(2013, 7, 8), date(2013, 7, 29))


def test_observed_adds_the_lookback_before_the_first_slice_and_the_days_to_score() -> None:
    windows = partition_windows(workload(train=10, evaluate=5, lookback=9), "2013-07-29")
    assert windows.observed == DateRange(date(2013, 6, 29), date(2013, 8, 5))


def test_history_may_begin_before_the_first_partition() -> None:
    assert partition_windows(workload(), MONDAY).history.start == MONDAY - timedelta(days=56)


def test_key_is_the_partitions_date() -> None:
    assert partition_windows(workload(), "2013-07-29").key == "2013-07-29"


@pytest.mark.parametrize("offset", range(-8, 9))
def test_slice_of_a_day_is_the_last_partition_not_after_it(offset: int) -> None:
    day = MONDAY + timedelta(days=offset)
    first_day = slice_of(workload(), day)
    assert first_day <= day < first_day + timedelta(days=7)
    assert (first_day - MONDAY).days % 7 == 0


def test_slices_may_be_single_days() -> None:
    windows = partition_windows(workload(every=1), "2013-05-01")
    assert windows.score.days() == [date(2013, 5, 1)]


@pytest.mark.parametrize(
    "text", ["2013-07-30", "2013-04-22", "2014-01-06", "next week", "", "2013-02-30", "2013-W31-2"]
)
def test_what_is_no_partition_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(NotAPartition, match="every 7 days from 2013-04-29 up to 2013-12-23") as error:
        partition_windows(workload(end=date(2013, 12, 23)), text)
    assert f"'{text}'" in str(error.value)


@pytest.mark.parametrize("text", ["5.8.2013", "2013-08-5", "next week"])
def test_what_is_written_otherwise_is_told_how_a_partition_is_written(text: str) -> None:
    with pytest.raises(NotAPartition, match="a partition is written as 2013-04-29, and partitions are every 7 days"):
        partition_windows(workload(), text)


def test_last_partition_counts() -> None:
    assert partition_windows(workload(end=date(2013, 12, 23)), "2013-12-23").key == "2013-12-23"
