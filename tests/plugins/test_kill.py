"""A task that is killed leaves no work of its own, and a retry stops what an earlier attempt left: on real Sparks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from muster.settings import Settings
from muster_airflow.process import RUN_KEY
from tests import cluster
from tests.conftest import settings_of
from tests.plugins import airflow_task
from tests.plugins.airflow_task import PARTITION

pytestmark = [pytest.mark.spark, pytest.mark.slow]

JOB = """
import sys
from pathlib import Path
from jobs.job import Job, main

BEATS = Path({beats!r})

def run(job):
    def beat(batches):
        import os, time
        for batch in batches:
            for _ in range({seconds} * 10):
                (BEATS / str(os.getpid())).write_text("")
                time.sleep(0.1)
            yield batch
    return {{"rows": job.spark.range(0, 2, 1, 2).mapInArrow(beat, "id long").count()}}

main({stage!r}, run)
"""
STOPPED = 1.5
"""Seconds without a beat after which the work on Spark has ended; it beats ten times a second."""


@dataclass
class Line:
    """The tasks of one workload on one backend, and the heartbeat of their work on Spark."""

    backend: str
    folder: Path
    env: dict[str, str]
    applications: Callable[[], list[str]] = list

    @property
    def run_key(self) -> str:
        return f"{self.env['MUSTER_STORE']} made train {PARTITION}"

    def start(self, stage: str = "train", seconds: int = 60) -> subprocess.Popen[str]:
        """Start a task whose job beats on two executors for some seconds."""
        beats = self.folder / stage
        beats.mkdir(exist_ok=True)
        job = self.folder / f"{stage}.py"
        job.write_text(JOB.format(beats=str(beats), stage=stage, seconds=seconds), encoding="utf-8")
        workload = airflow_task.declare(self.folder)
        command = [sys.executable, airflow_task.__file__, stage, str(job), str(workload), "spark", PARTITION]
        log = (self.folder / f"{stage}.log").open("a")
        return subprocess.Popen(command, env=self.env, stdout=log, stderr=log, text=True, start_new_session=True)

    def quiet(self, stage: str = "train") -> float:
        """Return the seconds since the work on Spark last beat."""
        beats = [file.stat().st_mtime for file in (self.folder / stage).iterdir()]
        return time.time() - max(beats, default=0)

    def beating(self, stage: str = "train") -> bool:
        return self.quiet(stage) < 0.5

    def processes(self) -> list[int]:
        """Return the processes of this workload's train job, whoever's children they are by now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(RUN_KEY) == self.run_key and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except (psutil.Error, OSError):
                continue
        return found

    def until(self, true: Callable[[], bool], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            log = "\n".join(file.read_text()[-3000:] for file in self.folder.glob("*.log"))
            assert time.monotonic() < deadline, f"not within {seconds} s; the log:\n{log}"
            time.sleep(0.1)

    def ends(self) -> bool:
        """Say whether nothing of the train job is left: no process, no beat, no application."""
        return not self.processes() and self.quiet() > STOPPED and not self.applications()


def environment(settings: Settings, folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    mine = {"MUSTER_HOME": str(settings.home), "MUSTER_STORE": str(folder / "store"), "PYTHONPATH": os.getcwd()}
    return {**kept, **mine, "SPARK_LOCAL_IP": "127.0.0.1", **more}


@pytest.fixture(scope="module")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Cluster]:
    """A real standalone cluster: a master and two workers."""
    started = cluster.start(settings_of(tmp_path_factory.mktemp("cluster")))
    yield started
    started.stop()


@pytest.fixture
def connect(spark_connect_server: str, stack_settings: Settings, tmp_path: Path) -> Iterator[Line]:
    value = {"conn_type": "spark_connect", "host": spark_connect_server}
    env = environment(stack_settings, tmp_path, MUSTER_BACKEND="connect", AIRFLOW_CONN_SPARK_CONNECT=json.dumps(value))
    line = Line("connect", tmp_path, env)
    yield line
    end(line)


@pytest.fixture
def submit(spark_cluster: cluster.Cluster, tmp_path: Path) -> Iterator[Line]:
    value = json.dumps(cluster.connection(spark_cluster, tmp_path / "scratch"))
    env = environment(spark_cluster.settings, tmp_path, MUSTER_BACKEND="submit", AIRFLOW_CONN_SPARK_DEFAULT=value)
    line = Line("submit", tmp_path, env, spark_cluster.applications)
    yield line
    end(line)


@pytest.fixture(params=["connect", "submit"])
def line(request: pytest.FixtureRequest) -> Line:
    """Each of the two backends."""
    found: Line = request.getfixturevalue(request.param)
    return found


def end(line: Line) -> None:
    """Leave nothing to the next test."""
    for pid in line.processes():
        psutil.Process(pid).kill()


def result(line: Line, stage: str = "train") -> dict[str, object]:
    (file,) = (line.folder / "store" / "results" / "made" / stage).glob("*.json")
    told: dict[str, object] = json.loads(file.read_text())
    return told


def test_the_same_job_runs_to_its_end(line: Line) -> None:
    assert line.start(seconds=1).wait(120) == 0
    assert result(line)["rows"] == 2
    line.until(line.ends)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["marked failed", "killed without warning"])
def test_a_task_that_ends_early_leaves_no_work(line: Line, number: signal.Signals) -> None:
    task = line.start()
    line.until(line.beating)
    task.send_signal(number)
    line.until(line.ends, seconds=15)
    assert task.wait(10) != 0


def test_a_retry_stops_what_an_earlier_attempt_left(line: Line) -> None:
    """Task and job die at once, so that nobody is left to stop the work on Spark."""
    task = line.start()
    line.until(line.beating)
    stopped = [psutil.Process(pid) for pid in (task.pid, *line.processes())]
    for process in stopped:
        process.suspend()  # a job that is stopped still holds its work, and does not hear SIGTERM
    before = set((line.folder / "train").iterdir())
    task.kill()
    retry = line.start(seconds=1)
    assert retry.wait(120) == 0
    line.until(line.ends, seconds=15)
    assert not [process for process in stopped if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert before


def test_work_of_a_client_that_was_killed_is_interrupted_by_the_next_attempt(connect: Line) -> None:
    task = connect.start()
    connect.until(connect.beating)
    for pid in (task.pid, *connect.processes()):
        psutil.Process(pid).kill()
    time.sleep(STOPPED)
    assert connect.beating(), "the server goes on with the work of a client that died: that is why a retry must stop it"
    left = set((connect.folder / "train").iterdir())
    assert connect.start(seconds=1).wait(120) == 0
    connect.until(connect.ends, seconds=15)
    mine = max(file.stat().st_mtime for file in set((connect.folder / "train").iterdir()) - left)
    assert max(file.stat().st_mtime for file in left) < mine


def test_two_stages_of_one_workload_do_not_stop_each_other(connect: Line) -> None:
    train = connect.start("train", seconds=12)
    connect.until(connect.beating)
    score = connect.start("score", seconds=1)
    assert score.wait(120) == 0
    assert train.wait(120) == 0
    assert result(connect, "train")["rows"] == result(connect, "score")["rows"] == 2
