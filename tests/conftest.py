"""Real services that any suite can ask for: started once a session, in a home of their own, on free ports."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from muster.settings import Settings, settings
from muster.settings.limits import CLASSES
from muster.spark_conf import jars
from muster_local import PROJECT, local
from muster_local.ports import free_ports


def settings_of(home: Path) -> Settings:
    """Return settings of a home of its own, on free ports, with the jars that the checkout's home may have."""
    fetched = PROJECT / ".muster" / "jars"
    if all((fetched / jar.name).exists() for jar in jars(home)):
        shutil.copytree(fetched, home / "jars", dirs_exist_ok=True)
    names = ("airflow_port", "mlflow_port", "spark_port", "spark_ui_port")
    # What a developer's own .env may name, no test writes to.
    own = {"home": home, "store": "", "mlflow_uri": "", "backend": "connect"}
    return Settings(**own, **dict(zip(names, free_ports(len(names)), strict=True)))


@pytest.fixture(autouse=True)
def no_spark_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test inherits the patience of one before it, in whose process a job held a Spark session."""
    monkeypatch.setattr("muster.mlflow.budget.max_wait._holds_spark", False)


@pytest.fixture(scope="session")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of the session's services; whatever was started with them is stopped at the end."""
    own = settings_of(tmp_path_factory.mktemp("stack"))
    yield own
    local.stop(own)


@pytest.fixture(scope="session")
def mlflow_server(stack_settings: Settings) -> str:
    """The address of a running MLflow server with an empty registry."""
    local.start(stack_settings, ["mlflow"])
    return stack_settings.mlflow_tracking_uri


FREELY = json.dumps(dict.fromkeys(CLASSES, 1000))
"""A budget that no test waits for: seven searches a second would take most of the time. How calls are paced is tested
by itself, in `tests/mlflow/budget` and `tests/mlflow_faults`."""


@pytest.fixture
def mlflow_settings(mlflow_server: str, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The session's MLflow server, which the settings name now; its calls are as free as the machine is quick."""
    for name, value in {"URI": mlflow_server, "BUDGET": FREELY}.items():
        monkeypatch.setenv(f"MUSTER_MLFLOW_{name}", value)
    monkeypatch.setenv("MUSTER_HOME", str(stack_settings.home))  # the budget's books are kept there
    settings.cache_clear()
    yield mlflow_server
    settings.cache_clear()


@pytest.fixture(scope="session")
def spark_connect_server(stack_settings: Settings) -> str:
    """The address of a running Spark Connect server with Delta: `SPARK_REMOTE` of a job."""
    local.start(stack_settings, ["spark"])
    return stack_settings.spark_remote


@dataclass(frozen=True)
class RunningStack:
    """A home in which `./muster up` has run: its services are up, two weeks of flights went through the line."""

    settings: Settings
    up: str = ""
    """What `up` told."""

    @property
    def home(self) -> Path:
        return self.settings.home.resolve()

    @property
    def env(self) -> dict[str, str]:
        """The environment by which any command of Muster finds this home, whatever this machine's own says."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_", "AIRFLOW"))}
        return {**kept, "MUSTER_VENV": sys.prefix, **self.settings.environment()}

    def muster(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `./muster ...` on this home; raise with all that it told when it fails."""
        command = [*launcher(), *arguments]
        done = subprocess.run(command, env=self.env, cwd=PROJECT, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"muster {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def processes(self) -> list[str]:
        """Return the command lines of the processes that belong to this home, by their environment or arguments."""
        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                if str(self.home) in command or process.environ().get("MUSTER_HOME") == str(self.home):
                    found.append(command)
            except (psutil.Error, OSError):
                continue
        return found


def launcher() -> list[str]:
    """Return `./muster`; or what it starts, where it would first change the environment that these tests run in."""
    lock = hashlib.sha256(b"".join((PROJECT / name).read_bytes() for name in ("requirements.txt", "pyproject.toml")))
    installed = Path(sys.prefix, ".muster-lock")
    fresh = installed.exists() and installed.read_text().strip() == lock.hexdigest()
    return [str(PROJECT / "muster")] if fresh else [sys.executable, "-m", "muster_local"]


ASKS_FIRST = "asks_first"
"""A workload of the running stack beside the declared ones: a human must approve what changes half of its champion."""


def _workloads(folder: Path) -> Path:
    """Copy the declared workloads to a folder, and add the one that asks first."""
    from tests.promotion.conftest import DECLARED  # imports what most tests do without

    shutil.copytree(PROJECT / "include" / "workloads", folder, ignore=shutil.ignore_patterns("__pycache__"))
    declared = {**DECLARED, "gate": {"baseline": "record", "max_changed": 0.5}}
    (folder / f"{ASKS_FIRST}.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    (folder / f"{ASKS_FIRST}.py").write_text("def features(rows):\n    return rows[['delay']]\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack that the real `./muster up` brought up, for all tests of a session; `./muster down` ends it, always.

    It takes minutes: mark a test that asks for it `e2e` and `slow`. The tests share it, so each leaves it as it was.
    """
    own = settings_of(tmp_path_factory.mktemp("running"))
    stack = RunningStack(own.model_copy(update={"workloads": _workloads(own.home / "workloads")}))
    try:
        told = stack.muster("up", timeout=1800).stdout
        yield RunningStack(stack.settings, told)
    finally:
        stack.muster("down", timeout=120)
    assert stack.processes() == [], "`./muster down` left processes behind"
