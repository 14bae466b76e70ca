"""A real task and its real job: the credentials are in the job's environment and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from muster_airflow.backends.process import RUN_KEY
from tests.plugins import airflow_task
from tests.plugins.airflow_task import PARTITION, declare

PASSWORD = "pa55word-of-ann"
JOB = """
import json, os, pathlib, sys, time
print("signs in as", os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"], flush=True)
while not pathlib.Path({go!r}).exists():
    time.sleep(0.05)
result = pathlib.Path(sys.argv[sys.argv.index("--result") + 1])
result.parent.mkdir(parents=True)
result.write_text(json.dumps({{"env": {{name: value for name, value in os.environ.items() if "MLFLOW" in name}}}}))
"""


def command_lines() -> str:
    """Return the arguments of every process of this machine."""
    return "\n".join(" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"]))


@pytest.mark.slow
@pytest.mark.parametrize("needed", ["mlflow", ""])
def test_credentials_reach_the_job_that_needs_them_and_no_log_nor_argument(tmp_path: Path, needed: str) -> None:
    go, job = tmp_path / "go", tmp_path / "job.py"
    script = JOB.format(go=str(go)) if needed else "import os; raise SystemExit(str(dict(os.environ)))"
    job.write_text(script, encoding="utf-8")
    value = {"conn_type": "mlflow", "host": "https://ml.example", "login": "ann", "password": PASSWORD}
    env = {
        # MLflow's client writes the server that other tests chose into this process's environment.
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        "PYTHONPATH": os.getcwd(),
        "MUSTER_STORE": str(tmp_path / "store"),
        "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps(value),
        "MLFLOW_TRACKING_PASSWORD": "another-pa55word",
    }
    task = [sys.executable, airflow_task.__file__, "train", str(job), str(declare(tmp_path)), needed, PARTITION]
    with subprocess.Popen(task, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        processes = ""
        if needed:
            while not any(RUN_KEY in one.environ() for one in psutil.Process(running.pid).children()):
                time.sleep(0.05)
            processes = command_lines()
            go.touch()
        log = running.communicate(timeout=60)[0]
    assert PASSWORD not in log + processes
    assert "another-pa55word" not in log
    if needed:
        assert str(job) in processes
        assert "signs in as ann ***" in log
        (result,) = (tmp_path / "store").rglob("*.json")
        assert json.loads(result.read_text())["env"]["MLFLOW_TRACKING_PASSWORD"] == PASSWORD
    else:
        assert "MLFLOW_TRACKING" not in log


ASKS = """
import json, os, pathlib, sys
known = {name: value for name, value in os.environ.items() if "_DB" in name}
print("asks", *known.values(), flush=True)
arguments = " ".join(sys.argv)
result = pathlib.Path(sys.argv[sys.argv.index("--result") + 1])
result.parent.mkdir(parents=True)
result.write_text(json.dumps({"rows": 1}))
pathlib.Path(sys.argv[0]).with_suffix(".json").write_text(json.dumps([known, arguments]))
"""
SOURCE = "source: {sql: 'SELECT * FROM rides WHERE at >= :start AND at < :end', connection: orders_db}"


@pytest.mark.slow
@pytest.mark.parametrize("of_airflow", [True, False])
def test_where_a_database_is_reaches_the_job_of_its_workload_and_no_log_nor_argument(
    tmp_path: Path, of_airflow: bool
) -> None:
    job, workload = tmp_path / "job.py", declare(tmp_path)
    job.write_text(ASKS, encoding="utf-8")
    workload.write_text(f"{workload.read_text()}{SOURCE}\n")
    value = {"conn_type": "postgres", "host": "db", "login": "ann", "password": f"{PASSWORD}/@", "schema": "orders"}
    given = f"postgresql://ann:{PASSWORD}%2F%40@db/orders"
    by = {"AIRFLOW_CONN_ORDERS_DB": json.dumps(value)} if of_airflow else {"MUSTER_CONNECTION_ORDERS_DB": given}
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        **{"PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])},
        **{"MUSTER_STORE": str(tmp_path / "store")},
        **{"MUSTER_CONNECTION_OTHER_DB": "sqlite:///another-pa55word", **by},
    }
    task = [sys.executable, airflow_task.__file__, "train", str(job), str(workload), "", PARTITION]
    ran = subprocess.run(task, env=env, capture_output=True, text=True, timeout=60)
    known, arguments = json.loads(job.with_suffix(".json").read_text())
    assert known == {"MUSTER_CONNECTION_ORDERS_DB": given}
    assert PASSWORD not in ran.stdout + ran.stderr + arguments
    assert "asks postgresql://ann:***" in ran.stdout + ran.stderr
    assert not [file for file in (tmp_path / "store").rglob("*.json") if PASSWORD in file.read_text()]
