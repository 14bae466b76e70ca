"""Which deadlines are missed, and what is said of them: of the results and the journal alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from muster.deadlines.missed import Key, Looked, Missed, look
from muster.storage.delta import replace_rows
from muster.storage.tables import PREDICTIONS
from tests.deadlines.watched import BY, FIRST, SECOND, THIRD, end, end_all, promote, utc, watched
from tests.features.test_slices import Line

DATA = {"data_by": "03:00"}
FIRST_LATE = Key("predictions", FIRST)
"""Due on the 8th."""


def keys(looked: Looked) -> list[str]:
    return [str(missed.key) for missed in looked.missed]


def only(looked: Looked) -> Missed:
    (missed,) = looked.missed
    return missed


def test_predictions_are_late_from_the_declared_time_on_though_no_run_ever_came(tmp_path: Path) -> None:
    context = watched(tmp_path)
    assert keys(look(context, utc("2024-01-08T05:59"))) == []
    missed = only(look(context, utc("2024-01-08T06:00")))
    assert (missed.key, missed.since) == (FIRST_LATE, utc("2024-01-08T06:00"))
    assert (missed.declared, missed.last) == ("predictions_by: 06:00", "nothing of it has run to its end")
    assert missed.dag == "made.ingest"
    assert f"trigger it with partition key {FIRST}" in missed.do


def test_a_partition_that_is_scored_in_time_is_not_late(tmp_path: Path) -> None:
    context = watched(tmp_path)
    end_all(context, FIRST, "2024-01-08T05:00")
    assert keys(look(context, utc("2024-01-08T06:00"))) == []
    assert keys(look(context, utc("2024-01-15T05:59"))) == []
    assert keys(look(context, utc("2024-01-15T06:00"))) == [f"predictions of {SECOND}"]


def test_what_was_last_done_and_the_stage_that_did_not_follow_are_named(tmp_path: Path) -> None:
    context = watched(tmp_path)
    end(context, "ingest", FIRST, "2024-01-08T04:00")
    end(context, "features", FIRST, "2024-01-08T04:10")
    missed = only(look(context, utc("2024-01-08T07:00")))
    assert (missed.last, missed.dag, missed.why) == ("features, 2024-01-08 04:10 UTC", "made.train", None)


def test_of_a_partition_that_has_not_begun_the_last_one_that_came_so_far_is_named(tmp_path: Path) -> None:
    context = watched(tmp_path)
    end_all(context, FIRST, "2024-01-08T05:00")
    end(context, "score", SECOND, "2024-01-15T05:00", skipped_because="no champion")
    missed = only(look(context, utc("2024-01-22T06:00")))
    assert missed.key.partition == THIRD
    assert missed.last == (f"nothing of it has run to its end; the last to end score was {FIRST}, 2024-01-08 05:00 UTC")


def test_what_a_reason_quotes_begins_no_line_of_a_message(tmp_path: Path) -> None:
    context = watched(tmp_path)
    end(context, "await_data", FIRST, "2024-01-08T02:00", late="no file\r\nDo: nothing")
    assert only(look(context, utc("2024-01-08T06:00"))).why == "no file Do: nothing"


def test_a_skip_is_told_as_such_with_its_reason(tmp_path: Path) -> None:
    context = watched(tmp_path)
    end_all(context, FIRST, "2024-01-08T05:00")
    end(context, "score", FIRST, "2024-01-08T05:01", "b", skipped_because="there is no champion yet")
    missed = only(look(context, utc("2024-01-08T06:00")))
    assert (missed.why, missed.dag) == ("score was skipped: there is no champion yet", "made.score")


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ({"skipped_because": "its data were not fresh"}, "ingest was skipped: its data were not fresh"),
        ({"late": "no landed file for 2024-01-07"}, "no landed file for 2024-01-07"),
    ],
)
def test_data_that_were_waited_for_in_vain_are_told_with_what_is_missing(
    tmp_path: Path, report: dict[str, str], why: str
) -> None:
    context = watched(tmp_path, deadlines=DATA | BY)
    end(context, "await_data", FIRST, "2024-01-08T02:00", **report)
    assert [missed.why for missed in look(context, utc("2024-01-08T06:00")).missed] == [why, why]


def test_a_stage_that_mlflow_puts_off_says_until_when(tmp_path: Path) -> None:
    context = watched(tmp_path)
    end(context, "ingest", FIRST, "2024-01-08T04:00")
    end(context, "features", FIRST, "2024-01-08T04:00")
    end(context, "train", FIRST, "2024-01-08T04:10", until="2024-01-08T09:00", why="throttled")
    assert only(look(context, utc("2024-01-08T06:00"))).why == "train was put off until 2024-01-08T09:00: throttled"


def test_data_are_late_until_they_are_ingested_and_predictions_by_themselves(tmp_path: Path) -> None:
    context = watched(tmp_path, deadlines=DATA | BY)
    assert keys(look(context, utc("2024-01-08T03:00"))) == [f"data of {FIRST}"]
    assert keys(look(context, utc("2024-01-08T06:00"))) == [f"data of {FIRST}", f"predictions of {FIRST}"]
    end(context, "ingest", FIRST, "2024-01-08T06:30")
    assert keys(look(context, utc("2024-01-08T07:00"))) == [f"predictions of {FIRST}"]


def test_days_that_ingest_went_on_without_are_late_until_any_ingest_has_brought_them(tmp_path: Path) -> None:
    context, line = watched(tmp_path, deadlines=DATA), Line(tmp_path)
    line.ingest("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-06")
    end(context, "ingest", FIRST, "2024-01-08T02:00", missing=["2024-01-07"])
    assert only(look(context, utc("2024-01-08T03:00"))).why == "ingested without 2024-01-07"
    line.ingest("2024-01-07", content="0:0")  # a day on which nothing happened is one that has come
    assert keys(look(context, utc("2024-01-08T03:00"))) == []


def test_before_the_first_deadline_and_without_any_nothing_is_missed(tmp_path: Path) -> None:
    assert keys(look(watched(tmp_path), utc("2023-06-01T00:00"))) == []
    assert keys(look(watched(tmp_path, deadlines=None), utc("2030-06-01T00:00"))) == []


def test_what_was_late_is_over_when_it_is_there(tmp_path: Path) -> None:
    context = watched(tmp_path)
    looked = look(context, utc("2024-01-08T06:05"), [FIRST_LATE])
    assert (keys(looked), looked.over) == ([f"predictions of {FIRST}"], [])
    end_all(context, FIRST, "2024-01-08T06:07")
    looked = look(context, utc("2024-01-08T06:10"), [FIRST_LATE])
    assert (looked.missed, looked.over[0].how) == ([], "scored, 2024-01-08 06:07 UTC")


def test_an_older_partition_stays_late_beside_a_newer_one_until_a_later_one_is_there(tmp_path: Path) -> None:
    context = watched(tmp_path)
    assert keys(look(context, utc("2024-01-15T06:00"), [FIRST_LATE])) == [
        f"predictions of {SECOND}",
        f"predictions of {FIRST}",
    ]
    end_all(context, SECOND, "2024-01-15T07:00")
    looked = look(context, utc("2024-01-15T07:05"), [FIRST_LATE, Key("predictions", SECOND)])
    assert looked.missed == []
    assert {str(one.key): one.how for one in looked.over} == {
        f"predictions of {SECOND}": "scored, 2024-01-15 07:00 UTC",
        f"predictions of {FIRST}": f"never scored, and {SECOND}, which is later, is: nobody waits for it any more",
    }


def test_what_holds_is_over_only_for_whom_it_was_late(tmp_path: Path) -> None:
    context = watched(tmp_path)
    end_all(context, FIRST, "2024-01-08T05:00")
    assert look(context, utc("2024-01-08T06:00")).over == []


def test_a_deadline_that_is_taken_out_of_the_yaml_is_over(tmp_path: Path) -> None:
    open_before = [FIRST_LATE, Key("champion"), Key("data", "2024-01-03")]
    looked = look(watched(tmp_path, deadlines=DATA), utc("2024-01-01T00:00"), open_before)
    assert {str(one.key): one.how for one in looked.over} == {
        "predictions of 2024-01-01": "deadlines.predictions_by is declared no more",
        "champion": "deadlines.champion_no_older_than is declared no more",
        "data of 2024-01-03": "it is no partition of the schedule any more",
    }


def test_a_deadline_that_a_refused_yaml_does_not_have_is_neither_missed_nor_over(tmp_path: Path) -> None:
    open_before = [FIRST_LATE, Key("champion")]
    looked = look(watched(tmp_path, deadlines=None), utc("2024-01-08T07:00"), open_before, refused="x: is wrong")
    assert (looked.missed, looked.over) == ([], [])


OLD = {"champion_no_older_than": "14d"}


def test_a_champion_is_old_from_when_a_partition_is_due_that_it_lies_too_far_before(tmp_path: Path) -> None:
    context = watched(tmp_path, deadlines=OLD)
    promote(context, FIRST, "7")
    assert keys(look(context, utc("2024-01-28T23:59"))) == []  # due: the 15th, 14 days later
    missed = only(look(context, utc("2024-02-20T00:00")))
    assert (str(missed.key), missed.since) == ("champion", utc("2024-01-29T00:00"))
    assert missed.last.startswith(f"version 7 of partition {FIRST}, moved ")
    assert "decisions --partition 2024-02-12" in missed.do
    promote(context, THIRD, "8")
    looked = look(context, utc("2024-01-29T01:00"), [Key("champion")])
    assert (looked.missed, looked.over[0].how) == ([], f"it is of partition {THIRD}")


def test_a_champion_that_a_rollback_made_an_old_one_is_old(tmp_path: Path) -> None:
    context = watched(tmp_path, deadlines=OLD)
    promote(context, FIRST, "1")
    promote(context, THIRD, "2")
    assert keys(look(context, utc("2024-01-29T00:00"))) == []
    promote(context, FIRST, "1", cause="rollback")
    assert keys(look(context, utc("2024-01-29T00:00"))) == ["champion"]


def test_without_a_champion_its_age_counts_from_the_first_partition_that_can_be_judged(tmp_path: Path) -> None:
    windows = {"train": 7, "evaluate": 6}
    context = watched(tmp_path, deadlines=OLD, windows=windows)  # the first is that of the 15th
    assert keys(look(context, utc("2024-02-11T23:59"))) == []
    missed = only(look(context, utc("2024-02-12T00:00")))
    assert (missed.last, missed.since) == ("there is none", utc("2024-02-12T00:00"))


def test_of_groups_own_champions_the_latest_counts_and_the_older_are_counted(tmp_path: Path) -> None:
    context = watched(tmp_path, deadlines=OLD, registry="per_group")
    for group, partition in {"a": FIRST, "b": FIRST, "c": THIRD}.items():
        promote(context, partition, "1", group)
    assert keys(look(context, utc("2024-01-29T00:00"))) == []
    promote(context, THIRD, "none", "c", cause="rollback")  # left without a champion
    missed = only(look(context, utc("2024-01-29T00:00")))
    assert "2 of 2 groups have one of more than 14 d" in missed.last


def test_moves_of_the_registry_that_a_workload_had_before_make_no_champion_of_it(tmp_path: Path) -> None:
    promote(watched(tmp_path, deadlines=OLD), THIRD, "8")
    assert keys(look(watched(tmp_path, deadlines=OLD), utc("2024-01-29T00:00"))) == []
    missed = only(look(watched(tmp_path, deadlines=OLD, registry="per_group"), utc("2024-02-20T00:00")))
    assert missed.last == "there is none"


def test_predictions_that_only_the_table_has_are_there_as_after_a_job_that_was_run_by_hand(tmp_path: Path) -> None:
    context = watched(tmp_path)
    row = pa.Table.from_pylist([{"partition": FIRST, "group": "a", "bucket": 0}], PREDICTIONS)
    replace_rows(context.store, "predictions", row, f"partition = '{FIRST}'")
    assert keys(look(context, utc("2024-01-08T06:00"))) == []
    assert keys(look(context, utc("2024-01-15T06:00"))) == [f"predictions of {SECOND}"]
