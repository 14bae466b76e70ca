"""The made line of the promotion's tests, and years of it: weeks that were promoted, and files that are old."""

from __future__ import annotations

import os
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from muster.champions.opened import scorers
from tests.promotion.conftest import A, B, C, Line, Registry, artifact_store, grouped, line, registry, served

__all__ = ["Line", "artifact_store", "grouped", "line", "registry", "served"]

WEEKS = [str(date(2024, 2, 5) + timedelta(weeks=number)) for number in range(5)]
WON = [{A, B, C}, {A}, {A, B}, {A}, {A}]
"""Which groups each week promotes: the slope of their models is the week's number, from 1."""


def aged(root: Path, days: float = 10) -> None:
    """Make all files below a folder older."""
    then = time.time() - days * 86400
    for at, _, names in os.walk(root):
        for name in names:
            os.utime(Path(at, name), (then, then))


def promote_weeks(registry: Registry, weeks: int = 5) -> None:
    """Promote weeks; each group's own version counts its own promotions, the pack's all."""
    from tests.registry.remembered import remembered  # two seconds that a process of a line's own does without

    remembered(registry, make_weeks, weeks)


def make_weeks(registry: Registry, weeks: int) -> None:
    pack, own = registry.workload.registry == "pack", dict.fromkeys((A, B, C), 0)
    if registry.store.open("features") is None:
        registry.features(registry.first, [{"group": group, "a": 1.0, "b": 0.0, "record": 0.5} for group in own])
    for number, week in enumerate(WEEKS[:weeks]):
        verdicts = {group: "promote" if group in WON[number] else "reject" for group in own}
        versions = {group: str(version) if version else None for group, version in own.items()}
        against = (str(number) if number else None) if pack else versions
        registry.week(week, verdicts, number + 1.0, against)
        assert registry.promote(week)["moved"]
        own |= {group: own[group] + 1 for group in WON[number]}


def slopes(registry: Registry, partition: str = "2024-03-18") -> list[float]:
    """Return the slopes of the models that score a partition's slice, as they are loaded from where they are."""
    champions = scorers(registry.at(partition))
    assert champions is not None
    with champions.open([A, B, C]) as opened:
        reader = opened.reader(1_000_000)
        return [float(reader.model(group).coef_[0, 0]) for group in (A, B, C)]


def files_of(root: Path) -> dict[str, bytes]:
    """Return all files below a folder, by their paths."""
    return {
        Path(at, name).relative_to(root).as_posix(): Path(at, name).read_bytes()
        for at, _, names in os.walk(root)
        for name in names
    }


@pytest.fixture
def swept(registry: Registry) -> Registry:
    """Five weeks that were promoted, all files of them old, of which two promotions are to be kept."""
    registry.declared |= {"housekeeping": {"keep": 2}}
    promote_weeks(registry)
    aged(registry.root)
    return registry
