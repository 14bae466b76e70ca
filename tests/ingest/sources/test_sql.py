"""A database as a source, without a server: which times are of a day, and a process that does not know where it is."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from muster.ingest.sources.database import BadDatabase, NoAddress, redacted
from muster.ingest.sources.kinds import source_of
from muster.trial.landed_rows import landed_group
from tests.databases import Database
from tests.ingest.formats.made import DAY, checked
from tests.ingest.sources.of_sql import NEXT, arrival, of_sql


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    address = f"sqlite:///{tmp_path}/rides.db"
    monkeypatch.setenv("MUSTER_CONNECTION_ORDERS_DB", address)
    database = Database(create_engine(address).url)
    database.run("CREATE TABLE rides (place, line, at, warm, open, built, note, more)")
    return database


def test_a_process_without_the_address_is_told_which_variable_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUSTER_CONNECTION_ORDERS_DB", raising=False)
    with pytest.raises(
        NoAddress, match="'orders_db' has no address here: set MUSTER_CONNECTION_ORDERS_DB to a SQLAlchemy"
    ):
        source_of(of_sql(tmp_path)).arrived({DAY})
    for address in (
        "s3cret",
        "postgresql://ann:pa@s3cret@127.0.0.1:1/x",
        "postgresql://ann:s3cret@host:port/x",
        "postgresql://ann:pa@s3cret/word@127.0.0.1:1/x",
        "nothing://ann:s3cret@host/x",
    ):
        monkeypatch.setenv("MUSTER_CONNECTION_ORDERS_DB", address)
        with pytest.raises(BadDatabase) as error:
            source_of(of_sql(tmp_path)).arrived({DAY})
        assert "s3cret" not in "".join(traceback.format_exception(error.value))


def test_sqlite_has_the_day_of_any_way_to_write_a_time(sqlite: Database, tmp_path: Path) -> None:
    for at in ("2024-01-15", "2024-01-15 00:00:00", "2024-01-15T23:59:59.999Z", "2024-01-16", "2024-01-14T23:59:59"):
        sqlite.run(f"INSERT INTO rides (place, line, at, warm, open) VALUES ('{at}', 1, '{at}', 1.5, 'yes')")
    good, refused = checked(of_sql(tmp_path))
    assert ([(row["line"], row["warm"], row["open"]) for row in good], refused) == ([(1, 1.5, True)] * 3, [])
    assert source_of(of_sql(tmp_path)).days() == {DAY, NEXT}
    assert landed_group(of_sql(tmp_path), {DAY: arrival(of_sql(tmp_path))}, "2024-01-15,1").rows.num_rows == 1
    sqlite.run("UPDATE rides SET open = 1")
    with pytest.raises(BadDatabase, match="'open' is int, declared is bool"):
        checked(of_sql(tmp_path))


def test_no_secret_of_an_address_is_left_in_a_text_however_it_is_written() -> None:
    url = make_url("postgresql://ann:p%40ss%2Fw@db/x?sslpassword=k3y&sslmode=require&token=t1&token=t2")
    text = "ann p@ss/w p%40ss%2Fw p%40ss/w k3y require t1 t2 db"
    assert redacted(url, text) == "ann *** *** *** *** require *** *** db"
