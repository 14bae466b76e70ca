"""Services that all workers of a test run share: the first that asks starts them, the run's end stops them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from muster.settings import Settings
from muster.spark_conf import log_store_jar
from muster_local.jars import all_jars
from muster_local.ports import free_ports
from tests import preparation

SETTINGS = ".settings.json"


def bring_jars(home: Path, store: str = "") -> None:
    """Give a home the jars that the preparation has fetched: without them each Spark resolves them by itself."""
    for jar in filter(Path.exists, [*all_jars(preparation.HOME, store), log_store_jar(preparation.HOME)]):
        copy = home / jar.relative_to(preparation.HOME)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(jar, copy)


def settings_of(home: Path, store: str = "") -> Settings:
    """Return settings of a home of its own, on free ports, with the jars that its Spark needs."""
    bring_jars(home, store)
    names = ("airflow_port", "mlflow_port", "spark_port", "spark_ui_port")
    # What a developer's own .env may name, no test writes to.
    own = {"home": home, "store": store, "mlflow_uri": "", "backend": "connect"}
    return Settings(**own, **dict(zip(names, free_ports(len(names)), strict=True)))


class Shared:
    """The folder of a run in which its workers find what one of them has started."""

    def __init__(self, root: Path) -> None:
        self.root = root / "shared"
        self.root.mkdir(exist_ok=True)

    @classmethod
    def of(cls, factory: pytest.TempPathFactory) -> Shared:
        """Return the folder of this run, in whichever of its processes."""
        base = factory.getbasetemp()
        return cls(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)

    def lock(self, name: str) -> FileLock:
        """Return the lock that one worker holds while it starts something."""
        return FileLock(self.root / f"{name}.lock")

    def record(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what the first worker that asked has made, as JSON; the others wait for it."""
        file = self.root / f"{name}.json"
        with self.lock(name):
            if not file.exists():
                file.write_text(json.dumps(make()))
            record: dict[str, Any] = json.loads(file.read_text())
            return record

    def recorded(self, name: str) -> dict[str, Any] | None:
        """Return what was made under a name, None where nobody asked for it."""
        file = self.root / f"{name}.json"
        record: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
        return record

    def settings(self, name: str) -> Settings:
        """Return the settings of a home that all workers share; what is started in it is stopped at the run's end."""
        record = self.record(f"{name}.settings", lambda: settings_of(self.root / name).model_dump(mode="json"))
        return Settings(**record)

    def homes(self) -> list[Settings]:
        """Return the settings of every shared home."""
        return [Settings(**json.loads(file.read_text())) for file in sorted(self.root.glob(f"*{SETTINGS}"))]


def processes_of(home: Path) -> list[str]:
    """Return the command lines of the processes that belong to a home, by their environment or arguments."""
    lines = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if str(home) in command or process.environ().get("MUSTER_HOME") == str(home):
                lines.append(command)
        except (psutil.Error, OSError):
            continue
    return lines
