"""Whether a partition is trained, and the sentence that says why."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from muster.storage.store import Store
from muster.training.cadence import Asked, Decision, Trained, decide, last_trained, trained_around
from muster.workload.retrain import Retrain

DAY = date(2024, 2, 5)
MONTHLY = Retrain(every=28, at_least_apart=14)
NOON = datetime(2024, 2, 5, 12, tzinfo=UTC)


def decided(last: date | None, *asked: Asked, itself: datetime | None = None, **changed: Any) -> Decision:
    return decide(MONTHLY.model_copy(update=changed), 7, DAY, Trained(last, itself_at=itself), asked)


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (None, "no partition before it was trained"),
        (date(2024, 1, 8), "due: the last one that was trained is 2024-01-08, 28 days before"),
        (date(2023, 12, 4), "due: the last one that was trained is 2023-12-04, 63 days before"),  # one was left out
    ],
)
def test_a_partition_is_due_where_none_was_trained_for_as_long_as_declared(last: date | None, why: str) -> None:
    assert decided(last) == Decision(True, why, "cadence")


def test_one_that_is_not_due_says_from_when_on_one_is() -> None:
    why = "not due before 2024-02-12: the last one that was trained is 2024-01-15, 21 days before"
    assert decided(date(2024, 1, 15)) == Decision(False, why, None)


@pytest.mark.parametrize("cause", ["degraded", "drifted", "corrected"])
def test_an_event_trains_off_the_cadence_with_its_words(cause: Any) -> None:
    asked = Asked(cause, "'a' lost 0.1", at=NOON)
    assert decided(date(2024, 1, 15), asked) == Decision(True, f"{cause}: 'a' lost 0.1", cause)


def test_an_event_trains_nothing_too_soon_after_the_last() -> None:
    why = decided(date(2024, 1, 29), Asked("drifted", at=NOON))
    assert not why.train
    assert why.why.endswith("'drifted' trains nothing within 14 days of the last, 'retrain.at_least_apart'")
    assert not decided(date(2024, 2, 1), Asked("drifted"), at_least_apart=None).train  # a slice's seven
    assert decided(date(2024, 1, 29), Asked("drifted"), at_least_apart=None).train


def test_an_event_of_before_the_partitions_own_training_trains_it_no_second_time() -> None:
    last, event = date(2024, 1, 15), Asked("degraded", at=NOON)
    after, before = NOON.replace(hour=13), NOON.replace(hour=11)
    assert decided(last, event, itself=after).why.endswith(
        "'degraded' is of before it was trained, at 2024-02-05 13:00 UTC"
    )
    assert decided(last, event, itself=before).train


def test_an_event_trains_no_partition_before_one_that_was_trained_since_unless_its_rows_were_corrected() -> None:
    trained = Trained(date(2024, 1, 15), after=date(2024, 2, 12))
    refused = decide(MONTHLY, 7, DAY, trained, [Asked("drifted", at=NOON)])
    assert refused.why.endswith("'drifted' trains nothing: partition 2024-02-12 was trained since, of later rows")
    assert decide(MONTHLY, 7, DAY, trained, [Asked("corrected", at=NOON)]).train


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"why": "worse", "groups": ["a", "b"], "count": 7}, "worse (7 groups: a, b)"),
        ({"groups": "abc"}, "its event tells no reason"),
        ({"why": "two\nlines"}, r"two\nlines"),
        ({"why": "x" * 600}, "x" * 499 + "…"),
    ],
)
def test_what_an_event_says_is_one_bounded_line_with_its_groups(extra: dict[str, Any], why: str) -> None:
    assert Asked.by_event("degraded", extra, NOON) == Asked("degraded", why, at=NOON)


def test_a_humans_word_counts_at_once_and_has_a_name() -> None:
    decision = decided(date(2024, 1, 29), Asked("drifted"), Asked("by_hand", who="ann"), itself=NOON)
    assert decision == Decision(True, "asked for by hand by 'ann'", "by_hand")


def test_a_cause_that_is_not_declared_trains_nothing_and_says_what_is() -> None:
    decision = decided(date(2024, 1, 15), Asked("by_hand"), on=("degraded", "drifted"))
    assert not decision.train
    assert decision.why.endswith("'by_hand' trains nothing, since 'retrain.on' has degraded, drifted")


def test_a_partition_that_is_due_is_trained_whatever_else_asks() -> None:
    assert decided(None, Asked("by_hand", who="ann")).cause == "cadence"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), "made")


def end(store: Store, partition: str, attempt: str = "1", **report: Any) -> None:
    store.files.put(f"{store.results('train')}/{partition}-{attempt}.json", json.dumps(report).encode())


def test_what_was_trained_is_what_came_to_its_end_before_the_partition(store: Store) -> None:
    assert trained_around(store, DAY) == Trained()
    end(store, "2024-01-15", run="x")
    end(store, "2024-01-22", until="2024-01-23T00:00:00+00:00", why="MLflow is full")
    end(store, "2024-02-12", run="later")
    assert trained_around(store, DAY) == Trained(date(2024, 1, 15), date(2024, 2, 12))


def test_its_own_training_is_told_apart(store: Store) -> None:
    end(store, str(DAY), run="x")
    own = trained_around(store, DAY)
    assert own.before is None
    assert own.itself_at is not None


def test_what_a_backfill_trained_and_nobody_promotes_is_none_but_to_a_backfill(store: Store) -> None:
    end(store, "2024-01-08", run="x")
    end(store, "2024-01-29", attempt="of-backfill.manual__1", run="y")
    assert trained_around(store, DAY) == Trained(date(2024, 1, 8))
    assert trained_around(store, DAY, of_backfill=True) == Trained(date(2024, 1, 29))


@pytest.mark.parametrize("report", [{"attempt": 2}, {"attempt": None}, {"skipped_because": "nothing to retry"}])
def test_a_retry_of_some_groups_is_no_training(store: Store, report: dict[str, Any]) -> None:
    end(store, "2024-01-08", run="x")
    for partition in ("2024-01-29", str(DAY)):
        store.files.put(f"{store.results('train')}/{partition}-1.json", json.dumps(report).encode())
    assert trained_around(store, DAY) == Trained(date(2024, 1, 8))
    assert last_trained(store) == date(2024, 1, 8)


def test_a_partition_that_was_trained_is_not_due_once_more_for_an_events_sake_or_behind_a_later_one() -> None:
    trained = Trained(date(2023, 12, 4), itself_at=NOON.replace(hour=13))
    event = Asked("degraded", at=NOON)
    assert not decide(MONTHLY, 7, DAY, trained, [event], of_events=True).train
    assert decide(MONTHLY, 7, DAY, trained, [event]).train  # of its own features: run again, it is trained again
    behind = Trained(date(2023, 12, 4), date(2024, 3, 4), NOON)
    assert decide(MONTHLY, 7, DAY, behind).why == "2024-02-05 was trained already, and 2024-03-04 since"
    assert decide(MONTHLY, 7, DAY, behind, [Asked("by_hand", who="ann")]).train
