"""What a run knows of its backfill, however far up the line that began; none promotes by accident."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from muster.backfill.request import DAG, Backfill
from muster_airflow.backfill import (
    BackfillRefused,
    BackfillStopped,
    NotAsked,
    backfill_of,
    carried_on,
    check_asked,
    followed_backfill,
    refuse_backfill,
)
from tests.plugins.airflow_task import Task, context_of, run_of

OURS = Backfill("manual__ours", ("ingest", "features", "score"), who="ann")
PROMOTING = Backfill("manual__ours", ("evaluate", "promote"), promote=True)


def event(source_run_id: str | None = "manual__1", **extra: Any) -> SimpleNamespace:
    return SimpleNamespace(source_run_id=source_run_id, extra=extra)


def triggered_by(*events: SimpleNamespace, **more: Any) -> dict[str, Any]:
    return context_of(run_id="asset_triggered__1", triggering_asset_events={"decisions": [*events]}, **more)


def of_conf(backfill: Backfill, **more: Any) -> dict[str, Any]:
    return context_of(dag_run=run_of(conf={"backfill": backfill.as_conf()}, **more), ti=Failed())


class Failed(Task):
    """A task of a backfill whose run of the DAG `backfill` has failed, where `failed` says so."""

    failed = False

    def get_dr_count(self, dag_id: str, states: list[str], run_ids: list[str] | None = None) -> int:
        assert (dag_id, run_ids, states) == (DAG, ["manual__ours"], ["failed"])
        return int(self.failed)


class Stopped(Failed):
    failed = True


@pytest.mark.parametrize(
    ("context", "id"),
    [
        (context_of(run_id="backfill__1"), "backfill__1"),
        (triggered_by(event("backfill__1")), "backfill__1"),
        (triggered_by(event("asset_triggered__0", backfill=True)), ""),
        (of_conf(OURS), "manual__ours"),
        (triggered_by(event(backfill=OURS.as_conf())), "manual__ours"),
    ],
    ids=["its own run", "the run before", "an event of an older Muster", "its conf", "an event of a run further up"],
)
def test_refused_when_a_backfill_caused_it(context: dict[str, Any], id: str) -> None:
    backfill: Any = backfill_of(context)  # type: ignore[arg-type]
    assert backfill.id == id
    with pytest.raises(BackfillRefused, match=r"is not promoted; to promote it, trigger this DAG by hand"):
        refuse_backfill(context)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "context",
    [
        context_of(),
        context_of(run_id="scheduled__1"),
        triggered_by(event("manual__1")),
        triggered_by(event(None, backfill=False)),
    ],
    ids=["by hand", "scheduled", "by an ordinary event", "by an event from outside"],
)
def test_let_through_when_none_did(context: dict[str, Any]) -> None:
    refuse_backfill(context)  # type: ignore[arg-type]
    assert backfill_of(context) is None  # type: ignore[arg-type]
    assert carried_on(context) is False  # type: ignore[arg-type]


def test_let_through_when_a_human_or_the_backfill_says_so() -> None:
    refuse_backfill({**context_of(run_id="backfill__1"), "params": {"allow_backfill": True}})  # type: ignore[arg-type]
    refuse_backfill(of_conf(PROMOTING))  # type: ignore[arg-type]


def test_the_next_stage_knows_all_of_it() -> None:
    first = of_conf(OURS)
    second = triggered_by(event(backfill=carried_on(first)))  # type: ignore[arg-type]
    assert backfill_of(second) == Backfill.of_conf(OURS.as_conf())  # type: ignore[arg-type]


def test_a_stage_that_was_not_asked_for_is_skipped_and_says_so() -> None:
    check_asked(of_conf(OURS), "features")  # type: ignore[arg-type]
    with pytest.raises(NotAsked, match="does not ask for 'train': stages: ingest, features, score"):
        check_asked(of_conf(OURS), "train")  # type: ignore[arg-type]
    with pytest.raises(NotAsked, match="without --promote"):
        check_asked(of_conf(OURS), "promote")  # type: ignore[arg-type]


def test_a_stage_of_ones_own_that_follows_is_none_of_its_business() -> None:
    check_asked(of_conf(OURS), "publish")  # type: ignore[arg-type]


def test_a_run_that_is_a_live_ones_too_runs_as_such() -> None:
    both = triggered_by(event(backfill=OURS.as_conf()), event(backfill=False))
    check_asked(both, "train")  # type: ignore[arg-type]
    assert followed_backfill(both) is None  # type: ignore[arg-type]


def test_airflows_own_backfill_runs_every_stage() -> None:
    check_asked(context_of(run_id="backfill__1"), "train")  # type: ignore[arg-type]


def test_a_stage_begins_no_more_once_its_backfill_was_stopped_unless_somebody_cleared_it() -> None:
    with pytest.raises(BackfillStopped, match="to go on, clear that run"):
        check_asked({**of_conf(OURS), "ti": Stopped()}, "features")  # type: ignore[arg-type]
    check_asked({**of_conf(OURS, clear_number=1), "ti": Stopped()}, "features")  # type: ignore[arg-type]
