"""Ingest of a database's answer: Spark's workers ask it, and the tables are as from csv, a column of every type."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from muster.ingest.sources.database import DatabaseChanged
from muster.ingest.sources.sql import SqlSource
from muster.settings.connections import variable
from muster_jobs import ingest
from muster_jobs.failures import known_failure
from tests import databases
from tests.conftest import OF_SPARK
from tests.jobs.conftest import MakeJob, table
from tests.landed import check_days
from tests.shared import Shared

pytestmark = pytest.mark.spark

DECLARED = """
keys: [place, line]
time: at
columns: {place: string, line: int, at: timestamp, delay: "float? [-60, 600]", open: "bool?", built: "date?"}
unique: [place, line, at]
label: {column: delay, above: 15}
features: {columns: [hour], lookback: 1}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 1, evaluate: 1}
gate: {resample: row}
schedule: {start: 2024-01-01, every: 1}
max_refused: 1
"""
SOURCE = f"""source:
  sql: SELECT * FROM rides WHERE at >= :start AND at < :end
  connection: {OF_SPARK}
  changed: version
"""
DAY = date(2024, 1, 5)
CSV = f"""place,line,at,delay,open,built
Zürich,7,{DAY}T00:00:00Z,1.5,t,1999-12-31
Bern,8,{DAY}T23:59:59.999999,-0.25,f,
Bern,8,{DAY}T12:00:00,,,
Bern,9,{DAY}T12:00:00,601,,
"""
TABLE = """CREATE TABLE rides (version serial, built date, place varchar(20), line smallint, at timestamp,
    delay real, open boolean)"""
ROWS = f"""INSERT INTO rides (place, line, at, delay, open, built) VALUES
    ('Zürich', 7, '{DAY} 00:00', 1.5, true, '1999-12-31'), ('Bern', 8, '{DAY} 23:59:59.999999', -0.25, false, NULL),
    ('Bern', 8, '{DAY} 12:00', NULL, NULL, NULL), ('Bern', 9, '{DAY} 12:00', 601, NULL, NULL)"""


def test_rows_of_a_database_are_as_of_csv_and_what_changes_meanwhile_is_not_half_ingested(
    make_job: MakeJob, tmp_path: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made.py").write_text("def features(rows): ...\n")
    yaml, landed = tmp_path / "made.yaml", tmp_path / "csv" / "landing" / "made" / f"{DAY}.csv.gz"
    yaml.write_text(DECLARED)
    landed.parent.mkdir(parents=True)
    landed.write_bytes(gzip.compress(CSV.encode()))
    of_csv = check_days(make_job("ingest", yaml, DAY, tmp_path / "csv").context, [DAY]).rows.to_pylist()
    expected = sorted(of_csv, key=str)
    yaml.write_text(DECLARED + SOURCE)
    with databases.database(shared, OF_SPARK) as database:
        monkeypatch.setenv(variable(OF_SPARK), databases.with_password(database.url))
        database.run(TABLE, ROWS)
        by_sql = make_job("ingest", yaml, DAY, tmp_path / "sql")
        result = ingest.run(by_sql)
        assert (result["days"], result["accepted"], result["quarantined"]) == (1, 3, 1)
        assert table(by_sql, "observations") == expected
        (refused,) = table(by_sql, "quarantine")
        assert (refused["file"], refused["reason"]) == (OF_SPARK, "delay: above 600")

        arrived = SqlSource.arrived

        def then_changed(source: SqlSource, days: Any) -> Any:
            arrivals = arrived(source, days)
            database.run("UPDATE rides SET delay = 2, version = version + 100 WHERE place = 'Zürich'")
            return arrivals

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(SqlSource, "arrived", then_changed)
            with pytest.raises(Exception, match="DatabaseChanged") as error:
                ingest.run(by_sql)
        failure = known_failure(error.value)
        assert (getattr(failure, "retryable", None), DatabaseChanged.retryable) == (True, True)
        assert f"other rows of {DAY} than when the run began: it has 4 rows, newest version 101;" in str(failure)
        assert databases.PASSWORD not in str(error.value)
        assert table(by_sql, "observations") == expected
