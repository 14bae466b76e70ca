"""Muster's wheel, built, and installed as somebody without a checkout installs it: into an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from muster_local import PROJECT
from tests import environments

NOT_INHERITED = ("MUSTER_", "AIRFLOW", "MLFLOW_", "SPARK_", "PYSPARK_", "PYTHON", "VIRTUAL_ENV")
"""What of this process's environment could lead back to the checkout, or to a developer's own services."""

PARTITION = "2024-02-05"
WORKLOAD = """
keys: [place]
time: at
columns: {place: string, at: timestamp, wind: float, delay: float}
unique: [place, at]
label: {column: delay, above: 0}
landing: deliver
features: {columns: [wind], buckets: 2}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 14, evaluate: 7}
schedule: {start: 2024-01-15, demo: [2024-02-05]}
"""
OWN_FILE = """
import numpy as np
import pandas as pd


def features(rows):
    return rows[["wind"]]


def deliver(landed):
    draw = np.random.default_rng(0)
    for day in pd.date_range("2024-01-15", "2024-02-11"):
        if day.date() not in landed:
            at = [f"{day.date()}T{hour:02}:00:00" for hour in range(4, 24) for _ in "ab"]
            wind = draw.normal(size=len(at))
            delay = wind + draw.normal(size=len(at))
            yield day.date(), pd.DataFrame({"place": [*"ab"] * 20, "at": at, "wind": wind, "delay": delay})
"""


@dataclass(frozen=True)
class Wheel:
    """The wheel, an environment in which it is installed, and a folder with workloads in which it is used."""

    file: Path
    venv: Path
    folder: Path

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where the environment keeps what is installed."""
        return self.venv / environments.PACKAGES

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that knows of no checkout."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        return {
            **kept,
            "PATH": os.pathsep.join([str(self.venv / "bin"), kept.get("PATH", os.defpath)]),
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "MUSTER_HOME": str(self.folder / "home"),
            "MUSTER_STORE": str(self.folder / "store"),
            "MUSTER_WORKLOADS": str(self.folder / "workloads"),
            "NO_COLOR": "1",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }

    def run(self, *command: object, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the folder; return what came of it, well or not."""
        program, *arguments = map(str, command)
        words = [str(self.venv / "bin" / program), *arguments]
        return subprocess.run(
            words, cwd=self.folder, env=self.env | more, capture_output=True, text=True, timeout=300, check=False
        )


def build(folder: Path) -> Path:
    """Build the wheel into a folder."""
    environments.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)])
    [file] = folder.glob("*.whl")
    return file


def use(folder: Path, dag_files: Mapping[str, str]) -> Path:
    """Make the folder of somebody who uses the wheel: DAG files, the declared workloads, and a small one."""
    shutil.copytree(
        PROJECT / "include" / "workloads", folder / "workloads", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "workloads" / "winds.yaml").write_text(WORKLOAD, encoding="utf-8")
    (folder / "workloads" / "winds.py").write_text(OWN_FILE, encoding="utf-8")
    (folder / "dags").mkdir()
    for name, text in dag_files.items():
        (folder / "dags" / name).write_text(text, encoding="utf-8")
    return folder
