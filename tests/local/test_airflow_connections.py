"""The local Airflow's connections: written when the settings change, and never over an operator's edit otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muster.settings import Settings
from muster_local.airflow_connections import connections, update_connections


@pytest.mark.parametrize(
    ("uri", "host", "port"),
    [("http://127.0.0.1:5000", "http://127.0.0.1", 5000), ("https://ml.example/in", "https://ml.example/in", 443)],
)
def test_mlflows_has_a_port_of_its_own_so_that_it_can_be_tested(uri: str, host: str, port: int) -> None:
    assert connections(Settings(mlflow_uri=uri))["mlflow_default"] == {
        "conn_type": "mlflow",
        "host": host,
        "port": port,
    }


def test_mlflows_has_the_figures_that_the_settings_change() -> None:
    connection = connections(Settings(mlflow_budget={"search": 3}))["mlflow_default"]
    assert connection["extra"] == {"search": 3}


class Airflow:
    """Remembers what was imported, as it stood in the file then."""

    def __init__(self) -> None:
        self.imported: list[set[str]] = []

    def __call__(self, command: list[str]) -> None:
        assert command[:3] == ["connections", "import", "--overwrite"]
        file = Path(command[3])
        assert file.stat().st_mode & 0o777 == 0o600
        self.imported.append(set(json.loads(file.read_text())))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "airflow").mkdir()
    return tmp_path


def test_all_are_written_once(home: Path) -> None:
    airflow = Airflow()
    for _ in range(2):
        update_connections(Settings(home=home), home, airflow)
    assert airflow.imported == [{"airflow_api", "mlflow_default", "spark_connect", "spark_default"}]


def test_only_what_the_settings_changed_is_written_again(home: Path) -> None:
    airflow = Airflow()
    update_connections(Settings(home=home), home, airflow)
    update_connections(Settings(home=home, mlflow_uri="https://mlflow.example"), home, airflow)
    assert airflow.imported[1:] == [{"mlflow_default"}]


def test_an_import_that_fails_is_made_again(home: Path) -> None:
    def refuse(_: list[str]) -> None:
        raise ChildProcessError

    with pytest.raises(ChildProcessError):
        update_connections(Settings(home=home), home, refuse)
    airflow = Airflow()
    update_connections(Settings(home=home), home, airflow)
    assert len(airflow.imported) == 1
