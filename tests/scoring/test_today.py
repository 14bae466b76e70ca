"""A slice scored by today's champion, by a pack and by groups' own models: rows that these know are marked."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from muster.scoring.score import NoChampionThen, prepare, score_bucket, seen_in_training
from tests.promotion.conftest import Line
from tests.scoring.test_score_groups import promote_two_weeks, rows

ROWS = ["A,X", "B,X", "N,X"]


def scored(line: Line, partition: str, today: bool) -> dict[str, dict[str, Any]]:
    """Return each group's prediction of a slice."""
    line.features(partition, rows(ROWS))
    scoring = prepare(line.at(partition), today=today)
    tables = [score_bucket(scoring, bucket) for bucket in sorted(scoring.features.files)]
    return {row["group"]: row for row in pa.concat_tables(tables).to_pylist() if row["group"] in ROWS}


@pytest.mark.slow
@pytest.mark.parametrize("registry", ["pack", "per_group"])
def test_todays_champion_scores_an_earlier_slice_and_rows_that_it_knows_are_marked(
    served: Line, grouped: Line, registry: str
) -> None:
    line = served if registry == "pack" else grouped
    promote_two_weeks(line, own_versions=registry != "pack")
    then, now = scored(line, line.first, today=False), scored(line, line.first, today=True)
    assert {group: row["origin_run"] and row["origin_run"][:10] for group, row in then.items()} == {
        "A,X": line.first,
        "B,X": line.first,
        "N,X": None,
    }
    assert (now["A,X"]["origin_run"][:10], now["B,X"]["origin_run"][:10]) == (line.second, line.first)
    assert now["A,X"]["score"] != then["A,X"]["score"]
    assert {group: row["seen_in_training"] for group, row in then.items()} == {"A,X": False, "B,X": False, "N,X": None}
    assert {group: row["seen_in_training"] for group, row in now.items()} == {"A,X": True, "B,X": False, "N,X": None}


@pytest.mark.slow
def test_a_slice_before_the_first_champion_is_scored_by_todays_alone(served: Line) -> None:
    promote_two_weeks(served, own_versions=False)
    before = str(date.fromisoformat(served.first) - timedelta(days=7))
    with pytest.raises(NoChampionThen):
        scored(served, before, today=False)
    assert scored(served, before, today=True)["B,X"]["seen_in_training"] is True


@pytest.mark.slow
def test_without_any_champion_nobody_scores(served: Line) -> None:
    with pytest.raises(NoChampionThen, match="there is no champion"):
        scored(served, served.first, today=True)


@pytest.mark.parametrize(
    ("day", "seen"),
    [("2024-01-14", False), ("2024-01-15", True), ("2024-02-04", True), ("2024-02-05", False)],
    ids=["before its window", "its first day", "the last that it was judged on", "its own slice"],
)
def test_seen_are_the_days_of_its_windows(day: str, seen: bool, tmp_path: Any) -> None:
    workload, days = Line(tmp_path).workload, pa.chunked_array([[date.fromisoformat(day)] * 2])
    assert seen_in_training(workload, days, ["2024-02-05-3fa9c1d2", None]).to_pylist() == [seen, None]
