"""A workload with its own Python file in a folder of the test's own: small, quick, all its rows made up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import write_deltalake

from muster.cli import main
from muster.context import Context
from muster.ingest.landing import land
from muster.settings import settings
from muster.storage.store import Store
from muster.workload.load import load_workload
from tests.kept import fill
from tests.landed import check_days

YAML = """
keys: [place, line]
time: at
unique: [place, line, at]
landing: deliver
columns: {place: string, line: int, at: timestamp, warm: "float? [-50, 50]", delay: "float?"}
label: {column: delay, above: 10}
features: {columns: [warm, hour, before], lookback: 7, buckets: 4}
algorithms: {logistic: [sklearn.impute.SimpleImputer, sklearn.linear_model.LogisticRegression]}
windows: {train: 14, evaluate: 7}
gate: {resamples: 200, min_positives: 5, baseline: hour}
schedule: {start: 2024-01-22, demo: [2024-02-05]}
"""
CODE = """
import numpy as np
import pandas as pd


def features(rows):
    by_day = rows.groupby(["group", "date"])["label"].mean().rename("late").reset_index()
    by_day["before"] = by_day.groupby("group")["late"].shift(1)
    joined = rows[["group", "date"]].merge(by_day, on=["group", "date"], how="left")
    hour = rows["at"].dt.hour.astype(float)
    return pd.DataFrame({"warm": rows["warm"], "hour": hour, "before": joined["before"].to_numpy()}, index=rows.index)


def deliver(landed):
    for day in pd.date_range("2024-01-01", "2024-02-11"):
        if day.date() in landed:
            continue
        parts = []
        for number, (place, line) in enumerate([("north", 1), ("north", 2), ("south", 1), ("calm", 1)]):
            random = np.random.default_rng([day.toordinal(), number])
            at = day + pd.to_timedelta(np.arange(16) + 6, unit="h")
            warm = random.normal(size=16).round(3)
            delay = -5.0 if place == "calm" else (10 + 8 * warm + 6 * random.normal(size=16)).round(2)
            at = at.strftime("%Y-%m-%dT%H:%M:%S")
            parts.append(pd.DataFrame({"place": place, "line": line, "at": at, "warm": warm, "delay": delay}))
        yield day.date(), pd.concat(parts)
"""


class Home:
    """A workload called `trains`, its store, and the command that tries it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = Store(str(root / "store"), "trains")
        self.folder = root / "workloads"
        self.folder.mkdir()
        self._capsys = capsys
        self.declare()

    def declare(self, yaml: Callable[[str], str] = str, code: Callable[[str], str] = str) -> None:
        """Write the workload, changed by `yaml` and `code`."""
        (self.folder / "trains.yaml").write_text(yaml(YAML))
        (self.folder / "trains.py").write_text(code(CODE))

    def run(self, *arguments: str, group: str = "north,1") -> tuple[int, str, str]:
        """Run `./muster try trains --group ...`; return its exit code, stdout and stderr."""
        with pytest.raises(SystemExit) as exit_info:
            main(["try", "trains", "--group", group, *arguments])
        printed = self._capsys.readouterr()
        return int(exit_info.value.code or 0), printed.out, printed.err

    def tried(self, *arguments: str, group: str = "north,1") -> dict[str, Any]:
        """Run it with JSON and return what it printed."""
        _, out, _ = self.run("--format", "json", *arguments, group=group)
        trial: dict[str, Any] = json.loads(out)
        return trial

    @property
    def context(self) -> Context:
        return Context(load_workload(self.folder / "trains.yaml"), self.folder, self.store)

    def ingest(self) -> None:
        """Bring the landed files into `observations`."""
        context = self.context
        good = check_days(context, pd.date_range("2024-01-01", "2024-02-11").date).rows
        write_deltalake(self.store.table("observations"), good, partition_by=["date"])


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Home]:
    """Return a fresh home: nothing landed, no tables."""
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    monkeypatch.setenv("MUSTER_WORKLOADS", str(tmp_path / "workloads"))
    settings.cache_clear()
    yield Home(tmp_path, capsys)
    settings.cache_clear()


@pytest.fixture
def home(fresh: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home whose files have landed, and nothing else."""
    folder = Path(fresh.store.uri(fresh.store.landing))
    fill(folder, "trains", lambda: land(fresh.context), tmp_path_factory)
    return fresh
