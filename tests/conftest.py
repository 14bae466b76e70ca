"""Real services that any suite can ask for: started once a session, in a home of their own, on free ports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster.settings import PROJECT, Settings
from muster.stack import local
from muster.stack.jars import jars
from muster.stack.ports import free_ports


def settings_of(home: Path) -> Settings:
    """Return settings of a home of its own, on free ports, with the jars that the checkout's home may have."""
    fetched = PROJECT / ".muster" / "jars"
    if all((fetched / jar.name).exists() for jar in jars(home)):
        shutil.copytree(fetched, home / "jars", dirs_exist_ok=True)
    names = ("airflow_port", "airflow_log_port", "mlflow_port", "spark_port", "spark_ui_port")
    return Settings(home=home, **dict(zip(names, free_ports(len(names)), strict=True)))


@pytest.fixture(scope="session")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of the session's services; whatever was started with them is stopped at the end."""
    settings = settings_of(tmp_path_factory.mktemp("stack"))
    yield settings
    local.stop(settings)


@pytest.fixture(scope="session")
def mlflow_server(stack_settings: Settings) -> str:
    """The address of a running MLflow server with an empty registry."""
    local.start(stack_settings, ["mlflow"])
    return stack_settings.mlflow_tracking_uri


@pytest.fixture(scope="session")
def spark_connect_server(stack_settings: Settings) -> str:
    """The address of a running Spark Connect server with Delta: `SPARK_REMOTE` of a job."""
    local.start(stack_settings, ["spark"])
    return stack_settings.spark_remote
