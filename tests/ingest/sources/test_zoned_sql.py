"""A database as a source of a workload whose days begin in a time zone: moments, and what clocks show."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from muster.context import Context
from muster.ingest.row_checks import check_day, good_rows
from muster.ingest.sources.database import BadDatabase, connected
from muster.ingest.sources.kinds import complete_arrivals, source_of
from muster.storage.store import Store
from muster.trial.landed_rows import landed_group
from muster.workload.spec import Workload
from tests.databases import Database
from tests.ingest.formats.made import DECLARED

pytestmark = pytest.mark.slow
SPRING, AUTUMN = date(2024, 3, 31), date(2024, 10, 27)
HOURS = {SPRING: 23, AUTUMN: 25}
A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
SKIPPED = "at: the clocks of Europe/Berlin skip this time"
SQL = "SELECT place, at, warm FROM rides WHERE at >= :start AND at < :end"


def zoned(folder: Path, zone: str | None = "Europe/Berlin", **changes: Any) -> Context:
    columns = {"place": "string", "at": "timestamp", "warm": "float?"}
    source = {"sql": SQL, "connection": "orders_db"}
    declared = {"keys": ["place"], "unique": ["place", "at"], "columns": columns, "source": source, "max_refused": 1}
    time = {"column": "at", "zone": zone}
    workload = Workload.model_validate({**DECLARED, **declared, "time": time, **changes})
    return Context(workload, folder, Store(str(folder), "made"))


def put(database: Database, kind: str, times: list[str]) -> None:
    rows = ", ".join(f"('a', '{at}', 1.5)" for at in times)
    database.run(
        f"CREATE TABLE rides (place text, at {kind}, warm real)",
        f"INSERT INTO rides VALUES {rows}",
    )


def hours(day: date) -> list[datetime]:
    """Return four days of hours around the day's noon."""
    return [datetime(day.year, day.month, day.day, 12) + more * AN_HOUR for more in range(-48, 48)]


def moments(context: Context, day: date) -> list[datetime]:
    rows = check_day(context, day)
    assert rows["reason"].null_count == rows.num_rows
    return sorted(good_rows(context.workload, rows)["at"].to_pylist())


@pytest.mark.parametrize("day", HOURS)
def test_moments_are_on_the_days_of_the_zone(postgres: Database, tmp_path: Path, day: date) -> None:
    put(postgres, "timestamptz", [f"{one}Z" for one in hours(day)])
    context = zoned(tmp_path)
    days = [day + more * A_DAY for more in range(-1, 2)]
    arrived = source_of(context).arrived(days)
    assert {one: int(arrival.delivery.split()[0]) for one, arrival in arrived.items()} == {
        one: HOURS.get(one, 24) for one in days
    }
    of_schedule = zoned(tmp_path, schedule={"start": str(days[0])})
    assert source_of(of_schedule).days() == {*days, day + 2 * A_DAY}
    taken = moments(context, day)
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC) - AN_HOUR * (1 if day == SPRING else 2)
    assert taken == [begins + more * AN_HOUR for more in range(HOURS[day])]
    own = landed_group(context, complete_arrivals(context, [day]), "a")
    assert (
        sorted(own.rows["at"].to_pylist()) == [one.replace(tzinfo=None) for one in taken]
        or own.rows["at"].to_pylist() == taken
    )


@pytest.mark.parametrize("day", HOURS)
def test_what_the_clocks_show_is_on_the_day_that_it_shows(postgres: Database, tmp_path: Path, day: date) -> None:
    put(postgres, "timestamp", [str(one) for one in hours(day)])
    context = zoned(tmp_path)
    arrived = source_of(context).arrived([day])
    assert arrived[day].delivery.startswith("24 rows")
    rows = check_day(context, day)
    reasons = [reason for reason in rows["reason"].to_pylist() if reason is not None]
    assert reasons == ([SKIPPED] if day == SPRING else [])
    first = min(good_rows(context.workload, rows)["at"].to_pylist())
    assert f"{first:%d %H:%M}" == ("30 23:00" if day == SPRING else "26 22:00")


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Havana", date(2024, 11, 3)),  # its midnight comes twice
        ("Africa/Cairo", date(2024, 10, 31)),  # at its end it is 23:00 again
        ("Africa/Cairo", date(2024, 4, 26)),  # its midnight is skipped
        ("Pacific/Apia", date(2011, 12, 31)),  # the day before is skipped
    ],
)
def test_each_moment_is_of_the_day_that_files_have_it_on(
    postgres: Database, tmp_path: Path, zone: str, day: date
) -> None:
    put(postgres, "timestamptz", [f"{one}Z" for one in hours(day)])
    context = zoned(tmp_path, zone, schedule={"start": "2011-01-01"})
    taken = [moments(context, one) for one in sorted(source_of(context).days())]
    assert sum(map(len, taken)) == len(hours(day))


def test_a_change_is_known_by_its_moment(postgres: Database, tmp_path: Path) -> None:
    put(postgres, "timestamptz", [f"{SPRING} 12:00Z"])
    postgres.run("ALTER TABLE rides ADD updated timestamp DEFAULT '2024-03-31 12:00'")
    source = {"sql": SQL.replace("warm FROM", "warm, updated FROM"), "connection": "orders_db", "changed": "updated"}
    for zone, hour in (("Europe/Berlin", 10), (None, 12)):
        arrival = source_of(zoned(tmp_path, zone, source=source)).arrived([SPRING])[SPRING]
        assert arrival.since == datetime(2024, 3, 31, hour, tzinfo=UTC)
        assert arrival.delivery == f"1 rows, newest updated 2024-03-31T{hour}:00:00+00:00"
    postgres.run("UPDATE rides SET updated = '2024-03-31 02:30'")  # which the clocks skip
    arrival = source_of(zoned(tmp_path, source=source)).arrived([SPRING])[SPRING]
    assert (arrival.since, arrival.delivery) == (None, "1 rows, newest updated 2024-03-31 02:30:00")


def test_texts_of_sqlite_are_what_the_clocks_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"sqlite:///{tmp_path}/rides.db"
    monkeypatch.setenv("MUSTER_CONNECTION_ORDERS_DB", address)
    put(Database(create_engine(address).url), "text", [str(one) for one in hours(AUTUMN)])
    context = zoned(tmp_path)
    assert source_of(context).arrived([AUTUMN])[AUTUMN].delivery.startswith("24 rows")
    assert [f"{one:%d %H:%M}" for one in moments(context, AUTUMN)][:4] == [
        "26 22:00",
        "26 23:00",
        "27 00:00",
        "27 02:00",
    ]


def test_a_database_whose_days_are_those_of_no_zone_is_refused_with_what_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_CONNECTION_ORDERS_DB", "mssql+pyodbc://ann@127.0.0.1/x")
    with pytest.raises(
        BadDatabase, match=r"is mssql, which Muster cannot ask for the days of 'time\.zone': leave it out"
    ):
        source_of(zoned(tmp_path)).arrived([SPRING])


def test_a_zone_that_the_server_does_not_know_is_told(postgres: Database) -> None:
    with (
        pytest.raises(BadDatabase, match=r'invalid value for parameter "TimeZone": "Mars/Base"') as error,
        connected("orders_db", "Mars/Base"),
    ):
        pass
    assert not error.value.retryable
