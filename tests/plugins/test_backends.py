"""Each backend's command; and connections that cannot tell where Spark is."""

from __future__ import annotations

import json
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from muster_airflow.backends import BACKENDS, JobCall
from muster_airflow.backends.code import packed_code
from muster_airflow.exceptions import ConnectionRefused

JOB = JobCall("jobs/train.py", "w/made.yaml", "2024-02-05", "a.1", Path("/r/2024-02-05-a.1.json"))
ARGUMENTS = ["--workload", JOB.workload, "--partition", JOB.partition, "--attempt", "a.1", "--result", str(JOB.result)]


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch, home: Path):  # type: ignore[no-untyped-def]
    """Return a maker of connections: JSON as Airflow reads it from the environment."""
    monkeypatch.delenv("AIRFLOW_CONN_SPARK_CONNECT", raising=False)
    monkeypatch.delenv("AIRFLOW_CONN_SPARK_DEFAULT", raising=False)

    def make(name: str, value: dict[str, Any] | str) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)

    return make


def test_both_backends_run_the_same_file_with_the_same_arguments(connection: Any) -> None:
    connection("spark_connect", {"conn_type": "spark_connect", "host": "sc://spark", "port": 15002})
    connection("spark_default", {"conn_type": "spark", "host": "local[2]"})
    for command in BACKENDS.values():
        assert command(JOB).arguments[-9:] == ["jobs/train.py", *ARGUMENTS]


def test_options_are_passed_on_and_a_partition_only_where_there_is_one() -> None:
    call = JobCall("jobs/rollback.py", "w/made.yaml", None, "a.1", Path("/r/a.1.json"), {"to": "3", "why": "it = bad"})
    assert "--partition" not in call.arguments
    assert call.arguments[-4:] == ["--option", "to=3", "--option", "why=it = bad"]


def test_connect_keeps_credentials_out_of_the_arguments(connection: Any) -> None:
    connection(
        "spark_connect",
        {"conn_type": "spark_connect", "host": "spark", "port": 443, "password": "t0ken", "extra": {"use_ssl": "true"}},
    )
    command = BACKENDS["connect"](JOB)
    assert command.environment == {"SPARK_REMOTE": "sc://spark:443/;token=t0ken;use_ssl=true"}
    assert not [argument for argument in command.arguments if "t0ken" in argument]


@pytest.mark.parametrize(
    ("value", "master"),
    [
        ({"conn_type": "spark", "host": "local[2]"}, "local[2]"),
        ({"conn_type": "spark", "host": "spark://m1", "port": 7077}, "spark://m1:7077"),
        ({"conn_type": "spark", "host": "spark://m1:7077,m2:7077"}, "spark://m1:7077,m2:7077"),
        ("spark://m1:7077", "spark://m1:7077"),
        ({"conn_type": "spark", "host": "yarn"}, "yarn"),
        ({"conn_type": "spark", "host": "k8s://https://api", "port": 6443}, "k8s://https://api:6443"),
    ],
)
def test_submit_takes_its_master_from_the_connection(connection: Any, value: Any, master: str) -> None:
    connection("spark_default", value)
    arguments = BACKENDS["submit"](JOB).arguments
    assert arguments[arguments.index("--master") + 1] == master


@pytest.mark.parametrize("value", [{"conn_type": "spark"}, {"conn_type": "http", "host": "local"}])
def test_submit_refuses_a_connection_that_names_no_master(connection: Any, value: Any) -> None:
    connection("spark_default", value)
    with pytest.raises(ConnectionRefused, match=r"'spark_default' .*no Spark master; give it a master"):
        BACKENDS["submit"](JOB)


def test_submit_refuses_the_form_that_airflow_cannot_read(connection: Any) -> None:
    connection("spark_default", "spark://local[2]")
    with pytest.raises(ConnectionRefused, match="does not exist or cannot be read; give it a master"):
        BACKENDS["submit"](JOB)


def test_submit_refuses_a_driver_that_would_outlive_its_task(connection: Any) -> None:
    connection("spark_default", {"conn_type": "spark", "host": "yarn", "extra": {"deploy-mode": "cluster"}})
    with pytest.raises(ConnectionRefused, match="asks for the deploy mode 'cluster'"):
        BACKENDS["submit"](JOB)


@pytest.mark.parametrize("backend", ["connect", "submit"])
def test_a_missing_connection_is_refused(connection: Any, backend: str) -> None:
    with pytest.raises(ConnectionRefused, match="does not exist or cannot be read; give it a"):
        BACKENDS[backend](JOB)


def test_submit_brings_delta_and_what_the_connection_adds(connection: Any) -> None:
    extra = {"jars": ["/a.jar", "/b.jar"], "conf": {"spark.executor.memory": "2g", "spark.sql.session.timeZone": "CET"}}
    connection("spark_default", {"conn_type": "spark", "host": "yarn", "extra": extra})
    arguments = BACKENDS["submit"](JOB).arguments
    confs = [value for option, value in pairwise(arguments) if option == "--conf"]
    assert {"spark.jars=/a.jar,/b.jar", "spark.executor.memory=2g", "spark.sql.session.timeZone=CET"} < set(confs)
    assert "spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension" in confs


def test_executors_get_todays_code_as_one_zip_made_once(tmp_path: Path) -> None:
    first = packed_code(tmp_path)
    made = first.stat().st_mtime_ns
    assert {"muster/settings.py", "muster/training/bins.py", "jobs/job.py"} < set(zipfile.ZipFile(first).namelist())
    assert packed_code(tmp_path) == first
    assert first.stat().st_mtime_ns == made
