"""The tasks of one small workload on one backend, as processes, and the heartbeat of their work on Spark."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.context
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from muster.settings import Settings, settings
from muster_airflow.backends.process import RUN_KEY
from tests.plugins import airflow_task
from tests.plugins.airflow_task import PARTITION

JOB = """
import sys
from pathlib import Path
from muster_jobs.command_line import main
from muster_jobs.job import Job

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
FORKING = multiprocessing.get_context("fork")
Task = multiprocessing.context.ForkProcess
PATIENCE = 300
"""Seconds for a task to run to its end on a busy machine."""

STOPPED = 1.5
"""Seconds without a beat after which the work on Spark has ended; it beats ten times a second."""


@dataclass
class Line:
    """The tasks of one workload on one backend, and the heartbeat of their work on Spark."""

    backend: str
    folder: Path
    env: dict[str, str]
    applications: Callable[[], list[str]] = list
    beats: list[Path] = field(default_factory=list)
    """The folders in which the jobs that were started beat, each its own."""

    @property
    def run_key(self) -> str:
        return f"{self.env['MUSTER_STORE']} made train {PARTITION}"

    def start(self, stage: str = "train", seconds: int = 240) -> Task:
        """Start a task, a process to be killed, whose job beats on Spark for some seconds.

        It is forked from this process, as Airflow's are from one that has imported Airflow.
        """
        job, workload = self._beating_job(stage, seconds), airflow_task.declare(self.folder)
        declared, log = (stage, str(job), str(workload)), str(self.folder / f"{stage}.log")
        task = FORKING.Process(target=_task, args=(declared, self.env, log), daemon=True)
        task.start()
        return task

    def run(self, stage: str = "train", job: Path | None = None) -> None:
        """Run a task to its end, in this process: another would first import Airflow. Its job beats for a second."""
        job, workload = job or self._beating_job(stage, seconds=1), airflow_task.declare(self.folder)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.env.items():
                patch.setenv(name, value)
            settings.cache_clear()
            airflow_task.operator(stage, str(job), str(workload)).execute(airflow_task.context_of())
        settings.cache_clear()

    def _beating_job(self, stage: str, seconds: int) -> Path:
        self.beats.append(self.folder / f"beats-{len(self.beats)}")
        self.beats[-1].mkdir()
        job = self.folder / f"{stage}.py"
        job.write_text(JOB.format(beats=str(self.beats[-1]), stage=stage, seconds=seconds), encoding="utf-8")
        return job

    def quiet(self, number: int = -1) -> float:
        """Return the seconds since the work on Spark of a job last beat: of the newest, or of the one with a number."""
        return time.time() - max((file.stat().st_mtime for file in self.beats[number].iterdir()), default=0)

    def beating(self) -> bool:
        return self.quiet() < 0.5

    def processes(self) -> list[int]:
        """Return the processes of this workload's train job, whoever's children they are by now."""
        pids = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(RUN_KEY) == self.run_key and process.status() != psutil.STATUS_ZOMBIE:
                    pids.append(process.pid)
            except (psutil.Error, OSError):
                continue
        return pids

    def until(self, true: Callable[[], bool], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            log = "\n".join(file.read_text()[-3000:] for file in self.folder.glob("*.log"))
            assert time.monotonic() < deadline, f"not within {seconds} s; the log:\n{log}"
            time.sleep(0.1)

    def ends(self) -> bool:
        """Say whether nothing of the train job is left: no process, no beat, no application."""
        quiet = all(self.quiet(number) > STOPPED for number in range(len(self.beats)))
        return quiet and not self.processes() and not self.applications()

    def end(self) -> None:
        """Leave nothing to the next test."""
        for pid in self.processes():
            psutil.Process(pid).kill()

    def result(self, stage: str = "train") -> dict[str, Any]:
        """Return the result of the stage's one finished attempt."""
        (file,) = Path(self.env["MUSTER_STORE"], "results", "made", stage).glob("*.json")
        result: dict[str, Any] = json.loads(file.read_text())
        return result


def _task(declared: tuple[str, ...], env: dict[str, str], log: str) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)  # not what pytest has put there
    settings.cache_clear()
    airflow_task.main(*declared, key=PARTITION)


def environment(stack: Settings, folder: Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    own = {"MUSTER_HOME": str(stack.home), "MUSTER_STORE": str(folder / "store"), "PYTHONPATH": os.getcwd()}
    own["AIRFLOW_CONN_MLFLOW_DEFAULT"] = json.dumps({"conn_type": "mlflow", "host": stack.mlflow_tracking_uri})
    return {**inherited, **own, "SPARK_LOCAL_IP": "127.0.0.1", **more}
