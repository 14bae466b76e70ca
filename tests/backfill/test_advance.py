"""A backfill brought forward by an Airflow in memory: what it starts, and what it leaves to events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from muster.backfill.advance import Advance, At, RunBefore, StagesPaused
from muster.backfill.request import Backfill, Request
from muster.backfill.step import BY_ITSELF, End
from tests.backfill.airflow import BEGAN, Airflow, umbrella

FIRST, SECOND = "2024-01-08", "2024-01-15"
ID = "made-1"


def advance(airflow: Airflow, since: Any = BEGAN, **form: Any) -> Advance:
    request = Request.of_form({"workload": "made", "from": FIRST, "to": SECOND, **form})
    return Advance(airflow, request, Backfill.of_request(ID, request, "ann"), [FIRST, SECOND], since)


def go(backfill: Advance, airflow: Airflow) -> At | None:
    return backfill.go_on(0, airflow.now)


def through(backfill: Advance, airflow: Airflow, partition: str, *stages: str) -> None:
    """Bring a partition through stages that all succeed."""
    for stage in stages:
        go(backfill, airflow)
        airflow.end(stage, partition)


def states(backfill: Advance) -> dict[str, list[str]]:
    return {partition: [end.state for end in of.values()] for partition, of in backfill.ends().items()}


def test_only_what_no_event_starts_is_started_and_one_partition_is_under_way_at_a_time() -> None:
    airflow = Airflow()
    backfill = advance(airflow)
    for partition in (FIRST, SECOND):
        through(backfill, airflow, partition, "ingest", "features", "train", "evaluate", "score")
        assert airflow.calls == [f"trigger made.ingest {partition}", f"trigger made.score {partition}"]
        airflow.calls.clear()
    assert go(backfill, airflow) is None
    assert states(backfill) == dict.fromkeys((FIRST, SECOND), ["done"] * 5)


def test_with_promotion_the_whole_line_goes_by_itself() -> None:
    airflow = Airflow()
    backfill = advance(airflow, promote=True)
    through(backfill, airflow, FIRST, "ingest", "features", "train", "evaluate", "promote", "score")
    assert airflow.calls == [f"trigger made.ingest {FIRST}"]


def test_a_promotion_that_moved_nothing_says_why() -> None:
    airflow, why = Airflow(), "the champion is of a later partition, 2024-02-19"
    backfill = advance(airflow, promote=True)
    through(backfill, airflow, FIRST, "ingest", "features", "train", "evaluate", "promote", "score")
    [run] = airflow.runs_of("made.promote")
    for result, told in (({"moved": True, "reason": why}, ""), ({"moved": False, "reason": why}, why)):
        airflow.results[run.dag, run.id] = result
        assert backfill.ends()[FIRST]["promote"] == End("done", told)


def test_stages_that_were_not_asked_for_are_passed_over() -> None:
    airflow = Airflow()
    backfill = advance(airflow, stages=["features", "score"])
    through(backfill, airflow, FIRST, "features", "score")
    assert airflow.calls == [f"trigger made.features {FIRST}", f"trigger made.score {FIRST}"]
    assert go(backfill, airflow) == At(1, SECOND, "features", "started")


def test_a_run_of_somebody_elses_is_neither_waited_for_nor_counted() -> None:
    airflow = Airflow()
    airflow.add("made.ingest", "scheduled__1", FIRST, {})
    airflow.add("made.ingest", "backfill-of-another", FIRST, {"backfill": {"id": "another"}})
    backfill = advance(airflow)
    assert go(backfill, airflow) == At(0, FIRST, "ingest", "started")
    assert go(backfill, airflow) == At(0, FIRST, "ingest", "queued")
    airflow.end("ingest", FIRST)
    airflow.add("made.features", "asset_triggered__live", FIRST, {}, "running")
    assert go(backfill, airflow) == At(0, FIRST, "features", "queued")


def test_a_stage_whose_event_was_lost_is_started_after_a_while() -> None:
    airflow = Airflow()
    backfill = advance(airflow)
    through(backfill, airflow, FIRST, "ingest")
    airflow.all_runs.pop()
    assert go(backfill, airflow) == At(0, FIRST, "features", "is about to begin")
    assert backfill.go_on(0, airflow.now + BY_ITSELF) == At(0, FIRST, "features", "started")


def test_a_training_that_was_skipped_leaves_its_judging_out_and_scoring_in() -> None:
    """It may hand the partition on to `score` by itself; where it does not, the backfill does."""
    airflow = Airflow()
    backfill = advance(airflow, promote=True)
    through(backfill, airflow, FIRST, "ingest", "features")
    airflow.end("train", FIRST, "skipped", "trained last week")
    assert go(backfill, airflow) == At(0, FIRST, "score", "is about to begin")
    assert backfill.go_on(0, airflow.now + BY_ITSELF) == At(0, FIRST, "score", "started")
    airflow.end("score", FIRST)
    ends = backfill.ends()[FIRST]
    assert [end.state for end in ends.values()] == ["done", "done", "skipped", "skipped", "skipped", "done"]
    assert {ends[stage].why for stage in ("train", "evaluate", "promote")} == {"trained last week"}


def test_what_had_no_data_is_not_scored_though_no_stage_between_was_asked_for() -> None:
    airflow = Airflow()
    backfill = advance(airflow, stages=["ingest", "score"])
    go(backfill, airflow)
    airflow.end("ingest", FIRST, "skipped", "its data are late")
    assert go(backfill, airflow) == At(1, SECOND, "ingest", "started")
    assert backfill.ends()[FIRST]["score"] == End("missed", "ingest was skipped")


def test_what_fails_leaves_out_the_rest_of_its_partition_alone() -> None:
    airflow = Airflow()
    backfill = advance(airflow)
    through(backfill, airflow, FIRST, "ingest")
    airflow.end("features", FIRST, "failed")
    assert go(backfill, airflow) == At(1, SECOND, "ingest", "started")
    ends = backfill.ends()[FIRST]
    assert [end.state for end in ends.values()] == ["done", "failed", "missed", "missed", "missed"]
    assert ends["score"].why == "features failed"


def test_with_promotion_nothing_later_begins_after_a_failure() -> None:
    airflow = Airflow()
    backfill = advance(airflow, promote=True)
    through(backfill, airflow, FIRST, "ingest")
    airflow.end("features", FIRST, "failed")
    assert go(backfill, airflow) is None
    assert {end.why for end in backfill.ends()[SECOND].values()} == {f"partition {FIRST} failed before"}


def test_going_on_runs_again_what_failed_before_and_leaves_what_failed_since() -> None:
    airflow = Airflow()
    backfill = advance(airflow)
    through(backfill, airflow, FIRST, "ingest")
    airflow.end("features", FIRST, "failed")
    again = advance(airflow, since=airflow.now + timedelta(seconds=1))
    assert go(again, airflow) == At(0, FIRST, "features", "cleared")
    airflow.end("features", FIRST, "failed")
    assert go(again, airflow) == At(1, SECOND, "ingest", "started")
    assert airflow.calls.count(f"clear made.features {FIRST} failed") == 1


def test_going_on_runs_what_was_skipped_as_it_was_stopped() -> None:
    airflow = Airflow()
    backfill = advance(airflow)
    through(backfill, airflow, FIRST, "ingest")
    airflow.end("features", FIRST, "skipped", "it was stopped", stopped=True)
    assert states(backfill)[FIRST][1] == "missed"
    assert go(backfill, airflow) == At(0, FIRST, "features", "cleared")
    assert airflow.calls[-1] == f"clear made.features {FIRST}"
    through(backfill, airflow, FIRST, "features", "train", "evaluate", "score")
    assert states(backfill)[FIRST] == ["done"] * 5


def test_a_run_that_was_asked_for_and_not_seen_yet_is_not_started_twice() -> None:
    airflow = Airflow()
    hidden = advance(airflow)
    go(hidden, airflow)
    airflow_before = list(airflow.all_runs)
    hidden.airflow.trigger("made.ingest", FIRST, airflow_before[0].id, {})
    assert airflow.all_runs == airflow_before


def test_nothing_is_started_while_a_stage_is_paused() -> None:
    airflow = Airflow(paused_dags={"made.train", "made.promote", "other.score"})
    with pytest.raises(StagesPaused, match=r"^paused: made.train; unpause"):
        advance(airflow).check_free()
    advance(airflow, stages=["score"]).check_free()


def test_the_second_of_two_is_told_who_runs_the_first() -> None:
    airflow = Airflow()
    umbrella(airflow, "the-first", {"workload": "made", "from": SECOND, "to": "2024-01-29", "dry_run": False})
    airflow.now += timedelta(seconds=1)
    backfill = advance(airflow)
    umbrella(airflow, ID, backfill.request.form())
    why = r"2024-01-15 to 2024-01-29 is being backfilled by the run 'the-first' .* by 'ann', since 2024-03-01 06:00 UTC"
    with pytest.raises(RunBefore, match=why):
        backfill.check_free()


def test_the_first_of_two_goes_on_and_so_do_two_that_share_nothing() -> None:
    airflow = Airflow()
    backfill = advance(airflow)
    umbrella(airflow, ID, backfill.request.form())
    airflow.now += timedelta(seconds=1)
    umbrella(airflow, "a-later-one", backfill.request.form())
    airflow.now = BEGAN - timedelta(hours=1)
    umbrella(airflow, "of-other-dates", {**backfill.request.form(), "from": "2024-01-22", "to": "2024-01-22"})
    umbrella(airflow, "looks", {**backfill.request.form(), "dry_run": True})
    backfill.check_free()
    assert backfill.backfill.id == ID
