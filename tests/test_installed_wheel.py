"""The wheel installed outside the checkout: nothing of it leads back, and its DAGs, jobs and commands run there."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from muster.settings import Settings
from muster.workload.stages import STAGE_NAMES
from muster_local import PROJECT
from muster_local.environment import environment
from tests import environments
from tests import wheel as wheels
from tests.conftest import FREELY
from tests.wheel import PARTITION, Wheel

# On the worker of the shortest group: installed once, for all of them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

WORKLOAD = "workloads/winds.yaml"
PACKAGES = ("muster", "muster_jobs", "muster_airflow")
PAGE = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
DAG_FILES = dict(re.findall(r"```python\n# (\w+\.py):.*?\n(.*?)```", PAGE, re.DOTALL))
"""Name -> text of the DAG files that the page on operations gives to those with only the wheel."""
FIND = "import json, sys; from importlib.util import find_spec; names = {}"
FIND += "; print(json.dumps([sys.path, *(spec and spec.origin for spec in map(find_spec, names))]))"
AIRFLOW = """
import json, os
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
from muster.settings import settings
from muster_airflow.backends.code import job_file, packed_code

def dags():
    bag = DagBag("dags")
    return sorted(bag.dags), list(bag.import_errors.values())

sent, declared = (str(packed_code(Path("code"))), job_file("ingest")), dags()
os.environ["MUSTER_WORKLOADS"] = "/no/such/folder"
settings.cache_clear()
print(json.dumps({"sent": sent, "declared": declared, "no workloads": dags()}))
"""
SUBMIT = """
import json, sys
from muster_airflow.backends import BACKENDS
from muster_airflow.backends.protocol import Done, JobCall
stage, workload, partition = sys.argv[1:]
backend = BACKENDS["submit"]
handle = backend.submit(JobCall(stage, workload, partition, "submitted"))
while (status := backend.poll(handle)).running or status.lines:
    print(*status.lines, sep="\\n")
outcome = backend.result(handle)
assert isinstance(outcome, Done), outcome
print(json.dumps(outcome.result))
"""
SUBMITTED = "train"
"""The stage that `spark-submit` runs, on Python workers of the wheel's environment."""
MASTER = {
    "conn_type": "spark",
    "host": "local[2]",
    "extra": {"conf": {"spark.driver.memory": "1g", "spark.ui.enabled": "false"}},
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wheel]:
    """The wheel, installed with all extras."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    file = wheels.build(tmp_path_factory.mktemp("built"))
    environments.make(venv, f"muster[airflow,spark] @ {file.as_uri()}", locked=True)
    yield Wheel(file, venv, wheels.use(tmp_path_factory.mktemp("elsewhere"), DAG_FILES))
    shutil.rmtree(venv)  # over a gigabyte, where it could not be linked


@pytest.fixture(scope="module")
def services(stack_settings: Settings, mlflow_server: str, spark_connect_server: str) -> dict[str, str]:
    """What says where the services are: MLflow and Spark of all tests, as they would be somebody else's.

    Python workers of the wheel's own are those of the stage that is submitted.
    """
    return {
        "JAVA_HOME": environment(stack_settings)["JAVA_HOME"],
        "MUSTER_HOME": str(stack_settings.home.resolve()),
        "SPARK_REMOTE": spark_connect_server,
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(MASTER),
        "MUSTER_MLFLOW_URI": mlflow_server,
        "MUSTER_MLFLOW_BUDGET": FREELY,
    }


@pytest.fixture(scope="module")
def in_airflow(wheel: Wheel) -> dict[str, Any]:
    """What a process that has imported Airflow tells: its DAGs, with workloads and without, and the code it sends."""
    answer: dict[str, Any] = json.loads(well(wheel.run("python", "-c", AIRFLOW)).splitlines()[-1])
    return answer


def well(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command wrote; it has to have ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trial(wheel: Wheel) -> dict[str, Any]:
    """What `muster try` tells of a group; the workload's files are landed then."""
    tried: dict[str, Any] = json.loads(well(wheel.run("muster", "try", "winds", "--group", "a", "--format", "json")))
    return tried


def test_dag_files_of_the_page_are_those_of_the_checkout() -> None:
    def code(text: str) -> list[str]:
        body = ast.parse(text).body
        return [
            ast.dump(one) for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        ]

    future = ast.dump(ast.parse("from __future__ import annotations").body[0])
    assert {name: code(text) for name, text in DAG_FILES.items()} == {
        path.name: [one for one in code(path.read_text(encoding="utf-8")) if one != future]
        for path in (PROJECT / "dags").glob("*.py")
    }


def test_nothing_leads_back_to_the_checkout(wheel: Wheel) -> None:
    path, *origins, local = json.loads(well(wheel.run("python", "-c", FIND.format([*PACKAGES, "muster_local"]))))
    assert local is None
    assert origins == [str(wheel.packages / name / "__init__.py") for name in PACKAGES]
    assert [entry for entry in path if entry.startswith(str(PROJECT))] == []


def test_dags_are_parsed(wheel: Wheel, in_airflow: dict[str, Any]) -> None:
    ids, errors = in_airflow["declared"]
    workloads = [path.stem for path in (wheel.folder / "workloads").glob("*.yaml")]
    assert errors == []
    of_all = {"rollback", "replay", "housekeeping", "backfill"}
    stages = (*STAGE_NAMES, "retry")
    assert set(ids) == {*of_all, *(f"{name}.{stage}" for name in workloads for stage in stages)}
    assert {"winds", "flight_delays"} <= set(workloads)


def test_without_workloads_every_dag_file_is_an_error_that_says_what_to_do(in_airflow: dict[str, Any]) -> None:
    ids, errors = in_airflow["no workloads"]
    assert ids == []
    assert len(errors) == len(DAG_FILES)
    assert all("no folder of workloads '/no/such/folder'; set MUSTER_WORKLOADS" in error for error in errors)


def test_what_goes_to_executors_is_all_of_the_code(wheel: Wheel, in_airflow: dict[str, Any]) -> None:
    packed, job = in_airflow["sent"]
    with zipfile.ZipFile(wheel.file) as ours, zipfile.ZipFile(wheel.folder / packed) as sent:
        sides = ("muster/", "muster_jobs/")
        assert set(sent.namelist()) == {name for name in ours.namelist() if name.startswith(sides)}
    assert job == str(wheel.packages / "muster_jobs" / "ingest.py")


def test_a_group_is_tried_with_nothing_running(trial: dict[str, Any]) -> None:
    assert (trial["group"], trial["training"]["state"]) == ("a", "trained")


def test_a_command_without_workloads_says_what_to_do(wheel: Wheel) -> None:
    done = wheel.run("muster", "show", "winds", "ledger", MUSTER_WORKLOADS="nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: there is no folder of workloads '{wheel.folder / 'nowhere'}'; set MUSTER_W")


@pytest.mark.spark
@pytest.mark.usefixtures("trial")
def test_the_line_runs_from_landed_files_to_a_champion_and_its_scores(wheel: Wheel, services: dict[str, str]) -> None:
    results = {stage: run(wheel, stage, services) for stage in STAGE_NAMES}
    assert (results["ingest"]["quarantined"], results["train"]["trained"], results["promote"]["moved"]) == (0, 2, True)
    assert {row["model_version"] for row in rows(wheel, "predictions")} == {"1"}
    assert {row["to_version"] for row in rows(wheel, "alias_journal")} == {"1"}
    looked = wheel.run("muster", "rollback", "winds", "--dry-run", **services)
    assert "before version 1, by the journal" in looked.stderr


def run(wheel: Wheel, stage: str, services: dict[str, str]) -> dict[str, Any]:
    """Run a stage for the workload's partition, as a client of the server or submitted; return its result."""
    if stage == SUBMITTED:
        done = wheel.run("python", "-c", SUBMIT, stage, WORKLOAD, PARTITION, **services)
        return dict(json.loads(well(done).splitlines()[-1]))
    job = ["python", "-m", f"muster_jobs.{stage}", "--workload", WORKLOAD, "--partition", PARTITION]
    well(wheel.run(*job, "--result", f"{stage}.json", **services))
    result: dict[str, Any] = json.loads((wheel.folder / f"{stage}.json").read_text(encoding="utf-8"))
    return result


def rows(wheel: Wheel, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table, as `muster show` tells them."""
    shown: list[dict[str, Any]] = json.loads(well(wheel.run("muster", "show", "winds", table, "--format", "json")))
    return shown
