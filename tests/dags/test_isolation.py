"""No workload touches another: whatever a YAML holds, the DAGs of a good one beside it are there."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from muster.workload.spec import Workload
from muster.workload.stages import STAGE_NAMES
from muster_local import PROJECT
from tests.plugins.airflow_task import WORKLOAD, declare

os.environ.setdefault("AIRFLOW_HOME", str(PROJECT / ".pytest_cache" / "airflow"))

from airflow.sdk import Asset
from airflow.serialization.serialized_objects import DagSerialization

from muster_airflow import dags
from muster_airflow.dags import WorkloadsRefused, raise_invalid_workloads, valid_workloads, workload_dags

MUTANTS = 1000
WHOLE = (
    WORKLOAD.replace("{place: ", "{seen: timestamp, place: ").replace(
        "2024-01-01}", '2024-01-01, end: 2024-12-30, cron: "0 6 * * 1", demo: [2024-01-08]}'
    )
    + """
owner: data
tags: [made]
rules: {order: at <= seen + 10 min}
gate: {baseline: prior, max_changed: 0.2, approval_hours: 2}
pack: {fallback: {keys: [], share: 0.1}}
landing: features
"""
)
DATES = ["2013-13-45", "0001-01-01", "9999-12-31", "2024-01-09", "2024-01-01 06:00:00 +99:99", "!!timestamp x"]
NUMBERS = ["-1", "0", ".nan", ".inf", "1e400", "4000000", "0x" + "f" * 300, "5" * 5000, "!!int abc", "1:30:99"]
TEXTS = ["x" * 101, "x" * 5000, '"\\0"', '"\\ud800"', "日本", "'{value}'", "__main__.Fit", "'__main__:f'", "'a..b'"]
CRONS = ['"0 25 * * *"', '"0 6 31 2 *"', '"* * * * *"', '"@daily"', '"0 6 * * 2"']
SHAPES = [
    "",
    "~",
    "[]",
    "{}",
    "[[]]",
    "[~]",
    "{1: 2}",
    "{.nan: 1}",
    "{a: {b: {c: 1}}}",
    "!!set {a}",
    "!!map x",
    "[" * 50,
]
SIGNS = [
    "*a",
    "&a [*a]",
    "<<",
    "=",
    "%",
    "@",
    "`",
    "\t",
    "? x",
    "|",
    "{{",
    "- a",
    "\x85",
    "\ufeff",
    "'",
    '"',
    ":",
    ", ",
]
VALUES = [*DATES, *NUMBERS, *TEXTS, *CRONS, *SHAPES, *SIGNS]


def mutate(text: str, chance: random.Random) -> str:
    """Put a value in another's place, or a sign anywhere; leave out a line or a stretch, or say a line twice."""
    lines = text.splitlines(keepends=True)
    line, at = chance.randrange(len(lines)), chance.randrange(len(text))
    word = chance.choice(list(re.finditer(r"[\w.?\"-]+", text)))
    return chance.choice(
        [
            text[: word.start()] + chance.choice(VALUES) + text[word.end() :],
            text[: word.start()] + chance.choice(VALUES) + text[word.end() :],
            text[:at] + chance.choice(SIGNS) + text[at:],
            text[:at] + text[at + chance.randrange(40) :],
            "".join([*lines[:line], *lines[line + 1 :]]),
            "".join([*lines[:line], lines[line].split(":")[0], f": {chance.choice(VALUES)}\n", *lines[line + 1 :]]),
            "".join([*lines, lines[line]]),
        ]
    )


def stored(workloads: Iterable[tuple[Workload, Path]]) -> set[str]:
    """Return the ids of the workloads' DAGs, having stored them as Airflow does."""
    every = [dag for workload, path in workloads for dag in workload_dags(workload, path)]
    return {json.loads(json.dumps(DagSerialization.to_dict(dag)))["dag"]["dag_id"] for dag in every}


def ids(name: str) -> set[str]:
    return {f"{name}.{stage}" for stage in (*STAGE_NAMES, "retry")}


def refusal(folder: Path) -> str:
    with pytest.raises(WorkloadsRefused) as refused:
        raise_invalid_workloads(folder)
    return str(refused.value)


@pytest.mark.slow
def test_a_thousand_mutated_files_leave_the_good_ones_dags_there(tmp_path: Path) -> None:
    """What loads is given all its DAGs, and Airflow can store them; what does not is refused, and nothing else is."""
    chance = random.Random(8)
    declare(tmp_path, "good").write_text(WHOLE, encoding="utf-8")
    for number in range(MUTANTS):
        mutant = mutate(WHOLE, chance) if number % 3 else mutate(mutate(WHOLE, chance), chance)
        declare(tmp_path, f"mutant_{number}").write_bytes(mutant.encode("utf-8", "surrogatepass"))
    sound = list(valid_workloads(tmp_path))
    assert "good" in [workload.name for workload, _ in sound]
    assert stored(sound) == set().union(*(ids(workload.name) for workload, _ in sound))
    assert MUTANTS / 100 < len(sound) < MUTANTS / 2  # they do mutate, and not always beyond a workload


def test_what_fails_only_when_dags_are_built_is_one_workloads_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(tmp_path, "good")
    declare(tmp_path, "bad")
    asset = dags.asset

    def asset_unless_bad(workload: Workload, table: str) -> Asset:
        if workload.name == "bad":
            raise OverflowError("no such date")
        return asset(workload, table)

    monkeypatch.setattr(dags, "asset", asset_unless_bad)
    assert stored(valid_workloads(tmp_path)) == ids("good")
    assert "bad.yaml: (file): its DAGs cannot be built: OverflowError: no such date" in refusal(tmp_path)
    assert "good" not in refusal(tmp_path)


def test_a_file_of_another_suffix_is_named(tmp_path: Path) -> None:
    declare(tmp_path, "good")
    declare(tmp_path, "parcels").rename(tmp_path / "parcels.yml")
    assert stored(valid_workloads(tmp_path)) == ids("good")
    assert "parcels.yml: (file): is not read by this name; rename it to 'parcels.yaml'" in refusal(tmp_path)
