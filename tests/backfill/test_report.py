"""What came of a backfill, as data and as text."""

from __future__ import annotations

from muster.backfill.report import as_report, as_text, is_complete
from muster.backfill.request import Request
from muster.backfill.step import End

REQUEST = Request("made", "2024-01-08", "2024-01-15", ("evaluate", "score"))
NONE_THEN = "made {} cannot be scored: there is no champion yet"
SKIPPED = {day: {"evaluate": End("done"), "score": End("skipped", NONE_THEN.format(day))} for day in ("a-1", "a-2")}
FAILED = {"a-3": {"evaluate": End("failed", "its log says why"), "score": End("missed", "evaluate failed")}}


def test_what_had_nothing_to_do_is_no_failure_and_what_is_missing_is_one() -> None:
    assert is_complete(as_report(REQUEST, SKIPPED))
    assert not is_complete(as_report(REQUEST, FAILED))
    assert as_report(REQUEST, SKIPPED | FAILED)["counts"] == {"done": 2, "skipped": 2, "failed": 1, "missed": 1}


def test_every_partition_has_a_line_and_every_reason_is_told_once_with_its_partitions() -> None:
    lines = as_text(as_report(REQUEST, SKIPPED | FAILED)).splitlines()
    assert lines[0] == "made 2024-01-08 to 2024-01-15: 2 done, 2 skipped, 1 failed, 1 missed"
    assert [line.split() for line in lines[1:5]] == [
        ["partition", "evaluate", "score"],
        ["a-1", "done", "skipped"],
        ["a-2", "done", "skipped"],
        ["a-3", "failed", "missed"],
    ]
    assert lines[5:] == [
        "score skipped: made ... cannot be scored: there is no champion yet (a-1, a-2)",
        "evaluate failed: its log says why (a-3)",
        "score missed: evaluate failed (a-3)",
    ]
