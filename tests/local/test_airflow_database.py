"""What brings the local Airflow's database up to date: one process for all that there is to do, none for nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from muster.settings import Settings
from muster_local import process
from muster_local.airflow_database import session_maker, update_database


class Base(DeclarativeBase):
    pass


class Line(Base):
    __tablename__ = "log"
    line: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The first words of Airflow's commands, a list a process."""
    seen: list[list[str]] = []

    def run(name: str, command: list[str], **_: object) -> None:
        seen.append([words[0] for words in json.loads(command[-1])])

    monkeypatch.setattr(process, "run", run)
    return seen


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "airflow").mkdir()
    return tmp_path


def test_a_new_home_takes_one_process_and_then_none(home: Path, runs: list[list[str]]) -> None:
    for _ in range(2):
        update_database(Settings(home=home), home, {})
    assert runs == [["db", "connections"]]


def test_only_what_is_new_is_done(home: Path, runs: list[list[str]]) -> None:
    update_database(Settings(home=home), home, {})
    update_database(Settings(home=home, mlflow_uri="https://mlflow.example"), home, {})
    [migrated] = (home / "airflow").glob("migrated-*")
    migrated.unlink()  # as after an upgrade of Airflow
    update_database(Settings(home=home, mlflow_uri="https://mlflow.example"), home, {})
    assert runs[1:] == [["connections"], ["db"]]


def test_what_fails_is_done_again(home: Path, runs: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ChildProcessError

    with monkeypatch.context() as failing:
        failing.setattr(process, "run", fail)
        with pytest.raises(ChildProcessError):
            update_database(Settings(home=home), home, {})
    update_database(Settings(home=home), home, {})
    assert runs == [["db", "connections"]]


def test_an_event_loop_never_waits_for_another_writer(tmp_path: Path) -> None:
    database = tmp_path / "airflow.db"
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE log (line TEXT)")
    session = session_maker(create_engine(f"sqlite:///{database}", connect_args={"timeout": 0.1}))()

    async def request() -> None:
        writer.execute("BEGIN IMMEDIATE")  # another request has written, and its commit needs this very loop
        session.add(Line(line="audit"))
        session.commit()
        writer.execute("COMMIT")
        await asyncio.to_thread(session.commit)  # as a request ends

    asyncio.run(request())
    assert writer.execute("SELECT line FROM log").fetchall() == [("audit",)]
