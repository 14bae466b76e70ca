"""The local Airflow's database: this Airflow's schema, and the settings' connections."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, sessionmaker

from muster.settings import Settings
from muster_local import process
from muster_local.airflow_connections import update_connections

CONNECT_ARGS = {"timeout": 30.0}
"""Seconds for which one of Airflow's processes waits until another has written; SQLite's 5 end in errors under load."""


class RequestSession(Session):
    """A session that commits nothing from within an event loop: what is added there is committed with its request.

    Airflow 3.3's api-server commits a line of its audit log in the event loop. Where another request has written by
    then, and needs the loop to come to its own commit, both wait for SQLite's time-out. A request that fails leaves no
    line in the audit log. (Every other day its check of tokens deletes old ones there, and does wait.)
    """

    def commit(self) -> None:
        if not _in_event_loop():
            super().commit()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def session_maker(engine: Engine) -> sessionmaker[RequestSession]:
    """Return what makes Airflow's sessions, with the options of Airflow's own."""
    return sessionmaker(engine, class_=RequestSession, autoflush=False, expire_on_commit=False)


PROGRAM = """
import json, sys
from airflow.__main__ import main

for command in json.loads(sys.argv[1]):
    sys.argv = ["airflow", *command]
    main()
"""
"""Runs several of Airflow's commands in one process: to import Airflow takes two seconds."""


def update_database(settings: Settings, home: Path, env: Mapping[str, str]) -> None:
    """Bring the database to this Airflow's schema, once a version, and to the settings' connections."""
    done = home / "airflow" / f"migrated-{importlib.metadata.version('apache-airflow-core')}"
    migration = [] if done.exists() else [["db", "migrate"]]

    def airflow(*commands: list[str]) -> None:
        program = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
        process.run("airflow-database", program, home=home, env=env)

    if not update_connections(settings, home, lambda command: airflow(*migration, command)) and migration:
        airflow(*migration)
    done.touch()
