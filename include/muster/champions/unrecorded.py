"""Champions that MLflow shows and no journal records: its table is gone, for whoever moves an alias writes first."""

from __future__ import annotations

from muster.champions.errors import ALIAS, JournalGone
from muster.champions.journal import Journal
from muster.champions.names import model_name
from muster.champions.versions import GROUP, WORKLOAD
from muster.context import Context
from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect

PAGE = 1000
"""Registered models that MLflow returns at once, at most."""


@muster_errors()
def check_none_unrecorded(context: Context) -> None:
    """Check that no group has a champion in MLflow, for whoever has an empty journal. One search up to 1,000 models.

    Raises:
        JournalGone: when one has: to go on would be to judge against the baseline, and to score with nothing.
    """
    workload, client, token = context.workload, connect(), None
    while True:
        page = client.search_registered_models(f"tags.`{WORKLOAD}` = '{workload.name}'", PAGE, page_token=token)
        for model in page:
            group = model.tags.get(GROUP)  # a pack of before has none; below another schema they are not its own
            if ALIAS not in model.aliases or group is None or model.name != model_name(workload.name, group):
                continue
            if not Journal(context.store).groups:  # else the first one was promoted meanwhile
                raise JournalGone(workload.name, model.name, str(model.aliases[ALIAS]))
        if not (token := page.token):
            return
