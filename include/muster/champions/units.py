"""A unit: a registered model and the groups that it answers for: all groups where it is a pack, else one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from muster.champions.names import model_names
from muster.workload.spec import Workload


@dataclass(frozen=True)
class Unit:
    """A registered model of a workload."""

    workload: str
    name: str
    """Of the registered model."""
    group: str | None = None
    """The one group that it answers for; None where it answers for all."""

    def __str__(self) -> str:
        return self.name if self.group is None else self.group


def is_pack(workload: Workload) -> bool:
    """Tell whether one registered model holds all groups."""
    return workload.registry == "pack"


def units(workload: Workload, groups: Iterable[str]) -> dict[str | None, Unit]:
    """Return the units that answer for the groups, by their `group`.

    Raises:
        NamesMeet: when two groups' models would have one name.
    """
    if is_pack(workload):
        return {None: Unit(workload.name, workload.name)}
    names = model_names(workload.name, groups)
    return {group: Unit(workload.name, name, group) for group, name in names.items()}
