"""PostgreSQL as a source: the rows as of csv, other deliveries, lost connections, and errors without secrets."""

from __future__ import annotations

import gzip
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muster.context import Context
from muster.ingest.row_checks import check_arrival
from muster.ingest.sources.database import BadDatabase, DatabaseChanged, DatabaseLost
from muster.ingest.sources.kinds import source_of
from muster.ingest.sources.sql import SqlSource
from muster.trial.landed_rows import landed_group
from tests.databases import Database
from tests.ingest.formats.made import DAY, DECLARED, checked, made, put
from tests.ingest.sources.of_sql import NEXT, SQL, arrival, of_sql

pytestmark = pytest.mark.slow

TABLE = """CREATE TABLE rides (
    more text, place varchar(20), line bigint, at timestamptz, warm numeric(9, 2), open boolean, built date, note uuid,
    updated timestamptz DEFAULT now())"""
NOTE = "6fa459ea-ee8a-3ca4-894e-db77e160355e"
ROWS = [
    f"('x', 'Zürich', 7, '2024-01-15 00:00:00Z', 1.5, true, '1999-12-31', '{NOTE}')",
    f"('x', 'Bern', 8, '2024-01-16 00:59:59.999999+01:00', -0.25, false, NULL, '{NOTE}')",
    "('x', 'Bern', 8, '2024-01-15 12:00:00Z', NULL, NULL, NULL, NULL)",
    "('x', 'Bern', 8, '2024-01-15 12:00:00Z', NULL, NULL, NULL, NULL)",
    "('x', NULL, 9, '2024-01-15 13:00:00Z', NULL, NULL, NULL, NULL)",
    "('x', 'Genf', 9, '2024-01-16 00:00:00Z', NULL, NULL, NULL, NULL)",
]
CSV = f"""place,line,at,warm,open,built,note
Zürich,7,2024-01-15T00:00:00Z,1.50,true,1999-12-31,{NOTE}
Bern,8,2024-01-16T00:59:59.999999+01:00,-0.25,f,,{NOTE}
Bern,8,2024-01-15T12:00:00,,,,
Bern,8,2024-01-15T12:00:00,,,,
,9,2024-01-15T13:00:00,,,,
"""


def insert(*rows: str) -> str:
    return f"INSERT INTO rides (more, place, line, at, warm, open, built, note) VALUES {', '.join(rows)}"


@pytest.fixture
def rides(postgres: Database) -> Database:
    postgres.run(TABLE, insert(*ROWS))
    return postgres


def test_the_rows_are_as_of_csv(rides: Database, tmp_path: Path) -> None:
    put(tmp_path, f"{DAY}.csv.gz", gzip.compress(CSV.encode()))
    good, refused = checked(made(tmp_path, "{date}.csv.gz"))
    of_database, others = checked(of_sql(tmp_path))
    assert len(good) == 3
    assert sorted(of_database, key=str) == sorted(good, key=str)
    assert sorted(reason for _, reason, _ in others) == sorted(reason for _, reason, _ in refused)
    assert {file for file, _, _ in others} == {"orders_db"}


def test_days_are_those_with_rows_and_each_is_asked_for_by_its_bounds(rides: Database, tmp_path: Path) -> None:
    rides.run(insert("('x', 'Bern', 8, '2023-12-01', 1, true, NULL, NULL)"))  # before the schedule starts
    source = source_of(of_sql(tmp_path))
    assert (source.days(), source.undated(), str(source.passed_over())) == ({DAY, NEXT}, 0, "")
    arrived = source.arrived({DAY, NEXT, NEXT + timedelta(days=1)})
    assert {day: one.delivery.partition(",")[0] for day, one in arrived.items()} == {DAY: "5 rows", NEXT: "1 rows"}
    at_most = of_sql(tmp_path, f"{SQL.partition('--')[0]} ORDER BY at, line LIMIT 2")
    assert check_arrival(at_most, arrival(at_most)).num_rows == 2


def test_a_correction_is_another_delivery_where_a_column_tells_of_it(rides: Database, tmp_path: Path) -> None:
    plain, telling = of_sql(tmp_path), of_sql(tmp_path, changed="updated")
    before, told_before = arrival(plain), arrival(telling)
    assert (before.since, told_before.since is None) == (None, False)
    rides.run("UPDATE rides SET warm = 2, updated = now() + interval '1 hour' WHERE place = 'Zürich'")
    assert arrival(plain).delivery == before.delivery  # as the page says
    assert arrival(telling).delivery != told_before.delivery
    with pytest.raises(DatabaseChanged, match=f"'orders_db' has other rows of {DAY} than when the run began: it has 5"):
        check_arrival(telling, told_before)
    rides.run("DELETE FROM rides WHERE place = 'Zürich'")
    with pytest.raises(DatabaseChanged, match=r"4 rows, at .*; run ingest again"):
        check_arrival(plain, before)
    assert check_arrival(telling, arrival(telling)).num_rows == 4
    assert DatabaseChanged.retryable


def test_rows_of_a_read_are_of_one_state_though_others_write(
    rides: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, summarised = of_sql(tmp_path), SqlSource._unchanged

    def then_others_write(*arguments: Any) -> int:
        rows = summarised(*arguments)
        rides.run("DELETE FROM rides")
        return rows

    expected = arrival(context)
    monkeypatch.setattr(SqlSource, "_unchanged", then_others_write)
    assert check_arrival(context, expected).num_rows == 5
    monkeypatch.setattr("muster.ingest.sources.database._ONE_STATE", {})
    monkeypatch.setattr(SqlSource, "_unchanged", lambda *arguments: 5)
    with pytest.raises(DatabaseChanged, match=f"has other rows of {DAY} than when the run began: 0 rows were read"):
        check_arrival(context, expected)


@pytest.mark.parametrize(
    ("sql", "columns", "problem"),
    [
        (SQL.replace("*", "at, place, line, open, built, note"), {}, "'orders_db' gives other columns.*lacks warm"),
        (
            SQL.replace("*", '*, line AS "Warm"').replace("*", "place, at, line, open, built, note"),
            {},
            "is 'Warm', dec",
        ),
        (SQL, {"warm": "bool?"}, "'warm' is Decimal, declared is bool, which is read of bool, str"),
        (SQL, {"warm": "int?"}, "'warm' is Decimal with digits after the point, declared is int"),
        (SQL.replace("*", "ARRAY[1] AS line, place, at, warm, open, built, note"), {}, "'line' is list"),
        (SQL.replace("rides", "none"), {}, r"refuses what is asked \(relation \"none\" does not exist\)$"),
        (SQL.replace("at >=", "line >="), {}, "refuses what is asked"),
    ],
)
def test_what_does_not_fit_is_told_and_is_no_case_for_another_try(
    rides: Database, tmp_path: Path, sql: str, columns: dict[str, str], problem: str
) -> None:
    context = of_sql(tmp_path, sql, {**DECLARED["columns"], **columns})
    with pytest.raises(BadDatabase, match=problem) as error:
        check_arrival(context, arrival(context))
    assert not error.value.retryable
    assert SQL not in str(error.value)


def test_extra_columns_are_refused_where_declared_and_a_changed_column_has_to_be_there(
    rides: Database, tmp_path: Path
) -> None:
    with pytest.raises(BadDatabase, match="gives other columns than made declares: has the undeclared more, updated"):
        arrival(of_sql(tmp_path, extra="refuse"))
    with pytest.raises(BadDatabase, match=r"gives no column 'version', which 'source\.changed' names"):
        arrival(of_sql(tmp_path, changed="version"))


def test_nothing_can_be_written(rides: Database, tmp_path: Path) -> None:
    rides.run("CREATE FUNCTION gone() RETURNS bigint LANGUAGE sql AS 'DELETE FROM rides RETURNING line'")
    with pytest.raises(BadDatabase, match="cannot execute DELETE in a read-only transaction") as error:
        arrival(of_sql(tmp_path, SQL.replace("WHERE", "WHERE gone() = 7 AND")))
    assert not error.value.retryable


def test_a_value_that_python_does_not_know_is_told(rides: Database, tmp_path: Path) -> None:
    rides.run("UPDATE rides SET built = '20000-01-01' WHERE place = 'Zürich'")
    with pytest.raises(BadDatabase, match=f"has a value of {DAY} that its driver cannot read"):
        check_arrival(of_sql(tmp_path), arrival(of_sql(tmp_path)))
    rides.run("UPDATE rides SET updated = '12024-03-15' WHERE place = 'Zürich'")
    with pytest.raises(BadDatabase, match=f"'orders_db' has a value of {DAY} that its driver cannot read"):
        arrival(of_sql(tmp_path, changed="updated"))


def test_a_lost_connection_is_worth_another_try(
    rides: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, ended = (
        of_sql(tmp_path),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    )
    expected, compared = arrival(context), SqlSource._unchanged

    def then_cut(*arguments: Any) -> int:
        rides.run(f"{ended} AND datname = current_database()")
        return compared(*arguments)

    monkeypatch.setattr(SqlSource, "_unchanged", then_cut)
    with pytest.raises(DatabaseLost, match="does not answer, or has ended the connection") as error:
        check_arrival(context, expected)
    assert error.value.retryable
    monkeypatch.setenv("MUSTER_CONNECTION_ORDERS_DB", "postgresql://ann@127.0.0.1:1/x")
    with pytest.raises(DatabaseLost, match="Connection refused"):
        arrival(context)


def test_a_wrong_password_is_told_and_never_shown(
    rides: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = rides.url.set(password="wr0ng@/password", database=None)
    monkeypatch.setenv("MUSTER_CONNECTION_ORDERS_DB", wrong.render_as_string(hide_password=False))
    with pytest.raises(BadDatabase, match='password authentication failed for user "ann"') as error:
        arrival(of_sql(tmp_path))
    assert not error.value.retryable
    shown = "".join(traceback.format_exception(error.value)) + repr(error.value)
    assert "wr0ng" not in shown


def asked_of(context: Context, group: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[int]]:
    """Return the group as `muster try` reads it, and how many rows came of the database at a time."""
    from muster.ingest.sources import sql

    taken: list[int] = []
    of_rows = sql.values_batch
    monkeypatch.setattr(sql, "values_batch", lambda *given: taken.append(len(given[1])) or of_rows(*given))
    return landed_group(context, {DAY: arrival(context)}, group), taken


def test_one_group_is_asked_for_alone_where_the_types_of_its_keys_allow_it(
    rides: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rides.run("DELETE FROM rides WHERE place IS NULL")
    group, taken = asked_of(of_sql(tmp_path), "Bern,8", monkeypatch)
    assert (group.rows.num_rows, sum(group.refused.values()), taken) == (2, 1, [3])
    rides.run(
        "ALTER TABLE rides ALTER COLUMN line TYPE text", "UPDATE rides SET line = '08' WHERE at < '2024-01-15 12:00'"
    )
    whole, taken = asked_of(of_sql(tmp_path), "Bern,8", monkeypatch)
    assert (whole.rows.num_rows, taken) == (2, [4])


def test_where_rows_of_other_groups_may_repeat_one_all_are_asked_for(
    rides: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rides.run(insert("('x', 'Aarau', 8, '2024-01-15 12:00:00Z', 1, true, NULL, NULL)"))
    context = of_sql(tmp_path)
    at_once = context.workload.model_copy(update={"unique": ("at",), "max_refused": 1.0})
    group, taken = asked_of(Context(at_once, context.folder, context.store), "Bern,8", monkeypatch)
    assert (group.rows.num_rows, sum(group.refused.values()), taken) == (1, 2, [6])
