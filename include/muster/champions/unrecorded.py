"""Champions that MLflow shows and no journal records: its table is gone, for whoever moves an alias writes first."""

from __future__ import annotations

from muster.champions.alias import models_with_alias
from muster.champions.errors import ALIAS, JournalGone
from muster.champions.journal import Journal
from muster.champions.names import model_name
from muster.champions.versions import GROUP
from muster.context import Context


def check_none_unrecorded(context: Context) -> None:
    """Check that no group has a champion in MLflow, for whoever has an empty journal. One search up to 1,000 models.

    Raises:
        JournalGone: when one has: to go on would be to judge against the baseline, and to score with nothing.
    """
    workload = context.workload.name
    for model in models_with_alias(workload):
        group = model.tags.get(GROUP)  # a pack of before has none; below another schema they are not its own
        if group is None or model.name != model_name(workload, group):
            continue
        if not Journal(context.store).groups:  # else the first one was promoted meanwhile
            raise JournalGone(workload, model.name, str(model.aliases[ALIAS]))
