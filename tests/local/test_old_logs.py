"""Old logs of a home's services: those of running services stay, whatever their age."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from muster_local import process
from muster_local.old_logs import remove_old_logs


def test_old_logs_go_and_young_ones_and_those_of_running_services_stay(tmp_path: Path) -> None:
    running = process.start("mlflow", [sys.executable, "-c", "input()"], home=tmp_path, env=os.environ)
    logs = tmp_path / "logs"
    sleeper = process.start(
        "spark", [sys.executable, "-c", "import time; time.sleep(60)"], home=tmp_path, env=os.environ
    )
    try:
        running.wait()
        for name, days in (("mlflow", 40), ("spark", 40), ("airflow-scheduler", 40), ("airflow-triggerer", 20)):
            (logs / f"{name}.log").write_text("lines")
            os.utime(logs / f"{name}.log", (time.time() - days * 86400,) * 2)
        (logs / "notes.txt").write_text("of somebody")
        os.utime(logs / "notes.txt", (0, 0))
        before = set(logs.iterdir())
        assert remove_old_logs(tmp_path, timedelta(days=30), dry_run=True) == (2, 10)
        assert set(logs.iterdir()) == before
        assert remove_old_logs(tmp_path, timedelta(days=30), dry_run=False) == (2, 10)
        assert {file.name for file in logs.iterdir()} == {"spark.log", "airflow-triggerer.log", "notes.txt"}
    finally:
        sleeper.kill()
        sleeper.wait()
