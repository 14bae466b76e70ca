"""docs/adding_a_workload.md, "What do I predict?": every example there is a workload that learns and is judged."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from muster.context import Context
from muster.ingest.landing import land
from muster.storage.store import Store
from muster.trial.trial import try_group
from muster.workload.load import load_workload
from muster_local import PROJECT

TEXT = (PROJECT / "docs" / "adding_a_workload.md").read_text(encoding="utf-8")
SECTION = TEXT[TEXT.index("### What do I predict?") : TEXT.index("### Columns")]
LINES = re.findall(r"`(outcome: [^`]+)`", SECTION)
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)]
BASE = """
keys: [depot]
time: at
unique: [id]
columns: {id: string, depot: string, at: timestamp, kg: float, minutes: "float?", arr_delay: "float?", fault: "bool?",
  component: "string?"}
features: {columns: [kg, hour]}
algorithms: {forest: {sklearn.ensemble.IsolationForest: {contamination: 0.02}}}
windows: {train: 28, evaluate: 14}
schedule: {start: 2024-01-01}
landing: deliver
"""
OWN = """
import numpy as np
import pandas as pd


def features(rows):
    return rows.assign(hour=rows["at"].dt.hour)[["kg", "hour"]]


def deliver(landed):
    for day in pd.date_range("2024-01-01", "2024-02-11"):
        random = np.random.default_rng(day.toordinal())
        kg, ids = random.gamma(2, 2, 30), [f"{day:%m%d}-{number}" for number in range(30)]
        rows = pd.DataFrame({"id": ids, "depot": "north", "kg": kg})
        rows["at"] = (day + pd.to_timedelta(random.integers(0, 24, 30), "h")).strftime("%Y-%m-%dT%H:%M:%S")
        rows["minutes"] = 5 * rows["kg"] + random.gamma(2, 2, 30)
        rows["arr_delay"] = rows["minutes"] - 15
        rows["fault"] = rows["kg"] > 9
        worn = np.digitize(kg + random.normal(size=30), [3, 6])
        rows["component"] = np.array(["none", "pump", "valve"])[worn]
        yield day.date(), rows
"""


def declared(folder: Path, sections: dict[str, Any]) -> Path:
    file = folder / "parcels.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(BASE), **sections}), encoding="utf-8")
    file.with_suffix(".py").write_text(OWN, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("examples")
    store = Store(str(folder), "parcels")
    land(Context(load_workload(declared(folder, EXAMPLES[0])), folder, store))
    return store


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["outcome"]))
def test_an_example_from_end_to_end_learns_and_is_promoted(
    tmp_path: Path, store: Store, example: dict[str, Any]
) -> None:
    workload = load_workload(declared(tmp_path, example))
    trial = try_group(Context(workload, tmp_path, store).at(str(date(2024, 2, 12))), "north")
    assert {fit["state"] for fit in trial.fits} == {"trained"}
    assert len(trial.fits) == len(workload.algorithms)
    assert (trial.decision["verdict"], trial.decision["metric"]) == ("promote", workload.gate.metric), trial.decision
    assert np.isfinite(trial.decision["candidate_score"])


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_table_declares_its_kind(tmp_path: Path, line: str) -> None:
    sections = yaml.safe_load(line)
    gate = {"alerts": [0.0, 0.1]} if "none" in sections["outcome"] else {}
    assert load_workload(declared(tmp_path, {**sections, "gate": gate})).outcome.kind in str(sections["outcome"])
