"""Which files a pattern finds, of which days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from muster.ingest.sources.pattern import Pattern

DAY, NEXT = date(2024, 1, 8), date(2024, 1, 9)


def lay(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("pattern", "there", "expected", "passed_over"),
    [
        (
            "x/{date}.csv.gz",
            ["2024-01-08.csv.gz", "20240109.csv.gz", "2024-W02-3.csv.gz", "2024-01-32.csv.gz", ".2024-01-09.csv.gz"],
            ["2024-01-08.csv.gz"],
            ["2024-01-32.csv.gz", "2024-W02-3.csv.gz", "20240109.csv.gz"],
        ),
        (
            "x/date={date}/*.parquet",
            [
                "date=2024-01-08/b.parquet",
                "date=2024-01-08/a.parquet",
                "date=2024-01-08/_SUCCESS",
                "date=2024-01-08/c.txt",
            ],
            ["date=2024-01-08/a.parquet", "date=2024-01-08/b.parquet"],
            ["date=2024-01-08/c.txt"],
        ),
        (
            "x/*/{date}-{date}-?.csv",
            ["n/2024-01-08-2024-01-08-1.csv", "n/2024-01-08-2024-01-09-1.csv", "n/2024-01-08-2024-01-08-10.csv"],
            ["n/2024-01-08-2024-01-08-1.csv"],
            ["n/2024-01-08-2024-01-08-10.csv", "n/2024-01-08-2024-01-09-1.csv"],
        ),
        (
            "x/{date}/all/{date}.csv",
            ["2024-01-08/all/2024-01-08.csv", "2024-01-08/2024-01-08.csv", "2024-01-09"],
            ["2024-01-08/all/2024-01-08.csv"],
            ["2024-01-09"],
        ),
        (
            "x/_{date}_a+b.csv",
            ["_2024-01-08_a+b.csv", "_2024-01-08_aab.csv"],
            ["_2024-01-08_a+b.csv"],
            ["_2024-01-08_aab.csv"],
        ),
        ("x/{date}", ["nothing/here"], [], ["nothing"]),
    ],
)
def test_files_are_of_the_day_in_their_path_and_other_names_are_told(
    tmp_path: Path, pattern: str, there: list[str], expected: list[str], passed_over: list[str]
) -> None:
    lay(tmp_path / "x", *there)
    listing = Pattern(f"{tmp_path}/{pattern}").find()
    assert listing.files == ({DAY: [f"{tmp_path}/x/{name}" for name in expected]} if expected else {})
    assert listing.passed_over == passed_over


def test_of_some_days_only_their_folders_are_listed(tmp_path: Path) -> None:
    lay(tmp_path, "2024-01-08/a.csv", "2024-01-09/b.csv")
    (tmp_path / "2024-01-08").chmod(0)
    try:
        assert list(Pattern(f"{tmp_path}/{{date}}/*.csv").find({NEXT}).files) == [NEXT]
    finally:
        (tmp_path / "2024-01-08").chmod(0o755)


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert Pattern(f"{tmp_path}/x/{{date}}/y.csv").find().files == {}
    assert Pattern(f"{tmp_path}/x/y-{{date}}.csv").find({DAY}).files == {}


def test_where_to_put_a_file_is_told_by_the_fixed_folder_and_a_name(tmp_path: Path) -> None:
    pattern = Pattern(f"{tmp_path}/x/date={{date}}/*.csv")
    assert (pattern.place, pattern.named_as) == (f"{tmp_path}/x", "date=2024-01-08/*.csv")
    assert (Pattern("/{date}.csv").place, Pattern("/{date}.csv").named_as) == ("/", "2024-01-08.csv")
