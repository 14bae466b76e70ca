"""Whether the champions that the journals tell are those of MLflow's aliases; a call a workload, and few seconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from muster.champions.misplaced import Misplaced, misplaced
from muster.mlflow.budget import waiting_at_most
from muster.settings import Settings
from muster.storage.store import Store
from muster_local import local

SECONDS = 3.0
"""How long MLflow is waited for: whoever asks looks on."""
BY_JOURNAL = "the champions are those of the journal, whatever the alias is at"


@dataclass(frozen=True)
class AliasState:
    """What MLflow tells of the champions; `problem` says why it tells nothing."""

    problem: str | None = None
    wrong: Mapping[str, list[Misplaced]] = field(default_factory=dict)
    """Workload -> what is wrong with its alias, or with those of its groups."""


def alias_state(settings: Settings, workloads: Collection[str]) -> AliasState:
    """Return which aliases of workloads are not where their journals say; never an error, as of Airflow."""
    if workloads and not settings.mlflow_uri and not local.lives(settings, "mlflow"):
        return AliasState(f"MLflow is not running: {BY_JOURNAL}")
    try:
        with waiting_at_most(SECONDS):
            return AliasState(None, {name: misplaced(Store(settings.store_root, name)) for name in workloads})
    except Exception as error:  # whatever an MLflow under stress answers
        return AliasState(f"MLflow does not tell where the aliases are ({type(error).__name__}: {error}): {BY_JOURNAL}")
