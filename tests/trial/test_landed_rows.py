"""The checks of one group's landed rows: by themselves, and against the checks that ingest has in Spark."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import date
from functools import reduce
from pathlib import Path

import pyarrow.compute as pc
import pytest

from muster.context import Context
from muster.ingest.landed_files import landed_schema, read_landed
from muster.storage.store import Store
from muster.trial.landed_rows import GROUP, LandedGroup, check_rows, landed_texts
from muster.workload.spec import Workload

WORKLOAD = Workload.model_validate(
    {
        "name": "made",
        "keys": ["place", "line"],
        "time": "at",
        "columns": {
            "place": "string",
            "line": "int",
            "at": "timestamp",
            "warm": "float? [-50, 50]",
            "open": "bool?",
            "built": "date?",
            "seats": "int? [1, ]",
        },
        "unique": ["place", "line", "at"],
        "label": {"column": "warm", "above": 0},
        "features": {"columns": ["hour"]},
        "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
        "windows": {"train": 14, "evaluate": 7},
        "schedule": {"start": "2024-01-01"},
    }
)
DAY = date(2024, 1, 5)
LINES = """\
north,1,2024-01-05T06:00:00,1.5,true,2001-02-03,7
north,+1,2024-01-05 07:00:00,,,,
north,1,2024-01-05T07:30:00.250,-50,N,,1
north, 1 ,2024-01-05T08:00:00Z,1e1,0,,
north,1,2024-01-05T09:00:00+01:00,2,,,
north,1,2024-01-05T22:30:00-0100,2,,,
north,1,2024-01-05T21:00:00,3,,,
north,1,2024-01-05,4,,,
north,1,2024-01-05T05:00,5,,,
north,1,2024-01-05T04:00Z,6,,,
north,1,2024-01-05T10:00:00,nan,,,
north,1,2024-01-05T11:00:00,inf,,,
north,1,2024-01-05T12:00:00,50.01,,,
north,1,2024-01-05T13:00:00,warm,maybe,,
north,1,2024-01-05T14:00:00,1,maybe,,
north,1,2024-01-05T15:00:00,1,,2001-02-30,
north,1,2024-01-05T16:00:00,1,,,0
north,1,2024-01-05T17:00:00,1,,,1.5
north,1,2024-01-06T00:00:00,1,,,
north,1,,1,,,
north,1,yesterday,1,,,
north,1,2024-01-05T18:00:00,1,,,
north,1,2024-01-05T18:00:00,1,,,
north,1,2024-01-05T19:00:00,1,,,
north,1,2024-01-05T19:00:00,2,,,
north,1,2024-01-05T20:00:00,1,,,
north,1,2024-01-05T20:00:00,99,,,
north,one,2024-01-05T20:00:00,1,,,
,1,2024-01-05T20:00:00,1,,,
"../../x ",1,2024-01-05T06:00:00,1,,,
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store in which one day is landed."""
    store = Store(str(tmp_path), WORKLOAD.name)
    Path(store.landing()).mkdir(parents=True)
    text = ",".join(WORKLOAD.columns) + "\n" + LINES
    (Path(store.landing()) / f"{DAY}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return store


def check_group(store: Store, group: str) -> LandedGroup:
    texts = landed_texts(Context(WORKLOAD, Path(), store), [DAY])
    return check_rows(WORKLOAD, texts[texts[GROUP] == group])


def test_good_rows_have_their_values_and_the_names_of_observations(store: Store) -> None:
    rows = check_group(store, "north,1").rows.to_pylist()
    assert [f"{row['at']:%H:%M:%S.%f}" for row in rows] == [
        "06:00:00.000000",
        "07:00:00.000000",
        "07:30:00.250000",
        "23:30:00.000000",
        "21:00:00.000000",
        "00:00:00.000000",
        "05:00:00.000000",
        "18:00:00.000000",
        "20:00:00.000000",
    ]
    first = rows[0]
    assert (first["group"], first["row_id"], first["date"]) == ("north,1", "north,1,2024-01-05 06:00:00", DAY)
    assert [first[name] for name in ("line", "warm", "open", "built", "seats")] == [1, 1.5, True, date(2001, 2, 3), 7]
    assert (rows[1]["warm"], rows[1]["open"], rows[1]["built"], rows[1]["seats"]) == (None, None, None, None)


def test_a_group_is_found_by_its_canonical_name(store: Store) -> None:
    texts = landed_texts(Context(WORKLOAD, Path(), store), [DAY])
    assert set(texts[GROUP].dropna()) == {"north,1", '"../../x ",1'}
    assert texts[GROUP].isna().sum() == 2


@pytest.mark.spark
def test_the_rules_are_those_that_ingest_has_in_spark(store: Store, spark_connect_server: str) -> None:
    from pyspark.sql import SparkSession

    from muster_jobs.row_checks import CHECKS

    session = SparkSession.builder.remote(spark_connect_server).create()
    try:
        table = read_landed(Context(WORKLOAD, Path(), store), DAY)
        assert table.schema == landed_schema(WORKLOAD)
        frame = reduce(lambda rows, check: check(WORKLOAD, rows), CHECKS, session.createDataFrame(table))
        theirs = frame.select("typed.*", "group", "bucket", "row_id", "reason").toArrow()
    finally:
        session.stop()
    for group in ("north,1", '"../../x ",1'):
        ours = check_group(store, group)
        of_group = theirs.filter(pc.equal(theirs["group"], group))
        assert ours.refused == Counter(of_group["reason"].drop_null().to_pylist())
        good = of_group.filter(of_group["reason"].is_null()).drop_columns("reason").sort_by("row_id")
        assert ours.rows.drop_columns("date").sort_by("row_id").to_pylist() == good.to_pylist()
