"""Weeks of promotions, moves by hand and a process's end: the history that a rollback meets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from muster.champions.errors import ALIAS
from muster.champions.versions import RegisteredVersion, numbered
from muster.mlflow.client import connect
from tests.packs import pack_of
from tests.registry.remembered import remembered

Line = Any


def promoted(line: Line, partition: str, won: Mapping[str, float], against: str | None) -> dict[str, Any]:
    """Train and judge a run in which the groups with a slope won, and promote it."""
    run = line.train(partition, won)
    line.decide(partition, run, dict.fromkeys(won, "promote"), against)
    return {**line.promote(partition, "gate"), "run": run}


def three_weeks(line: Line) -> list[str]:
    """Promote three weeks as versions 1, 2 and 3; return their runs. The last champion has models of all three."""
    runs: list[str] = remembered(line, _three_weeks)
    return runs


def _three_weeks(line: Line) -> list[str]:
    weeks = (
        (line.first, {"A,X": 1.0, "B,X": 1.0}, None),
        (line.second, {"A,X": 2.0}, "1"),
        (line.third, {"B,X": 3.0, "C,X": 3.0}, "2"),
    )
    return [promoted(line, partition, won, against)["run"] for partition, won, against in weeks]


def by_hand(line: Line, version: str) -> None:
    """Move the alias as MLflow's own page does: the journal does not learn of it."""
    connect().set_registered_model_alias(line.name, ALIAS, version)


def slopes(line: Line) -> dict[str, float]:
    """Return the slope of each model of the champion."""
    champion = line.champion()
    pack = pack_of(line.store, champion.place, champion.digest)
    return {group: float(pack.model(group).coef_[0, 0]) for group in sorted(pack.manifest["group"].to_pylist())}


def version_of(line: Line, number: str) -> RegisteredVersion:
    """Return the pack registered as a version, vouched for."""
    unit = line.unit()
    return numbered(unit, number, line.journal.of(unit), line.store)


def versions(line: Line) -> list[Any]:
    """Return the registered versions, the latest first."""
    versions_found = connect().search_model_versions(f"name = '{line.name}'")
    return sorted(versions_found, key=lambda version: -int(version.version))


def declare(line: Line, folder: Path) -> Path:
    """Write the workload's YAML file, and its function, to a folder; return the file."""
    folder.mkdir()
    declared = line.workload.model_dump(mode="json", exclude_unset=True, exclude={"name", "columns"})
    declared |= {"columns": {"carrier": "string", "origin": "string", "at": "timestamp", "delay": "float?"}}
    (folder / f"{line.name}.yaml").write_text(yaml.safe_dump(declared))
    (folder / f"{line.name}.py").write_text("def features(rows): ...")
    return folder / f"{line.name}.yaml"
