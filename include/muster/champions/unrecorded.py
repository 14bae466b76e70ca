"""Champions that MLflow or the store knows of and the journal has no move of: it was lost."""

from __future__ import annotations

from collections.abc import Collection

from muster.champions.alias import models_with_alias
from muster.champions.errors import ALIAS, JournalGone
from muster.champions.journal import Journal
from muster.champions.names import compared, model_name, model_names
from muster.champions.units import Unit
from muster.champions.versions import GROUP
from muster.storage.results import stage_results
from muster.storage.store import Store


def check_begun(store: Store, journal: Journal) -> None:
    """Check that a journal without any move is one that nobody was ever promoted by.

    Raises:
        JournalGone: when somebody was: to go on would be to judge against the baseline, as for the first time.
    """
    if (gone := gone_since_promoted(store, journal)) is not None:
        raise gone


def gone_since_promoted(store: Store, journal: Journal) -> JournalGone | None:
    """Return the error of a journal that has no move, though by a result of `promote` in the store it had some.

    MLflow is no witness: a version has its tags when it is registered, whether or not it then becomes champion.
    """
    if journal.count:
        return None
    promoted = [result.partition for result in stage_results(store, "promote") if result.read().get("moved")]
    if not promoted:
        return None
    return JournalGone.though_promoted(store.workload, max(promoted), store.uri(store.results("promote")))


def check_all_recorded(store: Store, journal: Journal) -> None:
    """Check that the journal knows every group that has a champion in MLflow. One search, of a call a thousand models.

    Whoever moves an alias writes it down first.

    Raises:
        JournalGone: when it does not: to go on would be to judge that group against the baseline, and to score it with
            the fallback. So it is where the table is gone, and where an older copy of it was put back.
    """
    known, at = journal.groups, units_with_alias(store.workload, journal.groups)
    missed = {unit: version for unit, version in at.items() if unit.group is not None and unit.group not in known}
    now = Journal(store).groups if missed else known  # some may have been promoted for the first time meanwhile
    for unit, version in missed.items():
        if unit.group not in now:
            raise JournalGone.shown(unit.workload, unit.name, version)


def units_with_alias(workload: str, groups: Collection[str]) -> dict[Unit, str]:
    """Return where the alias is of each unit of a workload that has one: of the pack, and of groups, known or not."""
    known = {compared(name): group for group, name in model_names(workload, groups).items()}
    units = {}
    for model in models_with_alias(workload):
        group = known.get(compared(model.name), model.tags.get(GROUP))  # models that are older than the tag are known
        name = workload if group is None else model_name(workload, group)
        if compared(model.name) == compared(name):  # below another schema they are not its own
            units[Unit(workload, name, group)] = str(model.aliases[ALIAS])
    return units
