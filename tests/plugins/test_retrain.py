"""The task that decides whether a partition is trained, and the one that says that it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset

from muster.backfill.request import Backfill
from muster.settings import settings
from muster.storage.results import ended
from muster.storage.store import Store
from muster_airflow.backfill import NotAsked
from muster_airflow.exceptions import NoPartition
from muster_airflow.operators.retrain import DecideOperator, KeepChampionOperator
from tests.plugins.airflow_task import PARTITION, WORKLOAD, context_of, run_of


def events(*names: str, **extra: Any) -> dict[Any, list[Any]]:
    """Return events of the workload's assets, as a task's context has them."""
    at = datetime.now(UTC)
    event = SimpleNamespace(source_run_id="asset__1", extra=extra, timestamp=at)
    return {Asset(f"made.{name}", uri=f"muster://made/{name}"): [event] for name in names}


@pytest.fixture
def decide(workload: Path, home: Path) -> Callable[..., tuple[Any, str]]:
    """Return a maker of decisions on a workload that is trained every second week, and was in the week before."""
    workload.write_text(f"{WORKLOAD}retrain: {{every: 14}}\n", encoding="utf-8")
    store = Store(settings().store_root, "made")
    store.files.put(f"{store.results('train')}/2024-01-29-1.json", b"{}")

    def branch(**context: Any) -> tuple[Any, str]:
        full = context_of(**context)
        chosen = DecideOperator(task_id="decide", workload=str(workload)).choose_branch(full)
        return chosen, full["ti"].pushed["why"]

    return branch


def test_a_partition_of_its_features_keeps_the_champion_until_it_is_due(decide: Callable[..., Any]) -> None:
    chosen, why = decide(triggering_asset_events=events("features"))
    assert (chosen, why[:26]) == ("keep_champion", "not due before 2024-02-12:")
    chosen, why = decide(partition="2024-02-12", triggering_asset_events=events("features"))
    assert (chosen, why[:4]) == ("train", "due:")


def test_an_event_trains_and_hands_its_reason_on(decide: Callable[..., Any]) -> None:
    assert decide(triggering_asset_events=events("degraded", why="7 groups are worse")) == (
        "train",
        "degraded: 7 groups are worse",
    )


def test_an_event_that_trains_nothing_scores_nothing_again(decide: Callable[..., Any], workload: Path) -> None:
    workload.write_text(f"{WORKLOAD}retrain: {{every: 14, at_least_apart: 14}}\n", encoding="utf-8")
    assert decide(triggering_asset_events=events("drifted"))[0] == []
    assert decide(triggering_asset_events=events("drifted", "features"))[0] == "keep_champion"


def test_whoever_triggers_the_dag_is_named(decide: Callable[..., Any]) -> None:
    by_ann = run_of(user="ann")
    assert decide(dag_run=by_ann) == ("train", "asked for by hand by 'ann'")


def of_backfill(*stages: str) -> SimpleNamespace:
    return run_of(conf={"backfill": Backfill("manual__0", stages, who="ann").as_conf()})


def test_a_backfill_of_the_whole_line_is_trained_by_its_cadence_and_hands_the_reason_on(
    decide: Callable[..., Any],
) -> None:
    chosen, why = decide(dag_run=of_backfill("features", "train", "score"))
    assert (chosen, why[:8]) == ("keep_champion", "not due ")


def test_a_backfill_of_training_alone_is_somebodys_word(decide: Callable[..., Any]) -> None:
    assert decide(dag_run=of_backfill("train", "evaluate")) == ("train", "asked for by hand by 'ann'")


def test_a_backfill_without_training_decides_nothing(decide: Callable[..., Any]) -> None:
    with pytest.raises(NotAsked, match="does not ask for 'train'"):
        decide(dag_run=of_backfill("features", "score"))
    assert ended(Store(settings().store_root, "made"), "cadence", PARTITION) is None


def test_the_decision_stands_among_the_results(decide: Callable[..., Any]) -> None:
    _, why = decide(triggering_asset_events=events("features"))
    decided = ended(Store(settings().store_root, "made"), "cadence", PARTITION)
    assert decided is not None
    assert decided.report == {"train": False, "why": why, "cause": None}
    json.dumps(decided.report)


def test_a_run_without_a_key_is_told_what_to_do(decide: Callable[..., Any]) -> None:
    with pytest.raises(NoPartition):
        decide(partition=None)


def test_the_event_of_a_kept_champion_says_why() -> None:
    kept, context = Asset("made.champion_kept", uri="muster://made/champion_kept"), context_of()
    KeepChampionOperator(task_id="keep_champion", why="not due", outlets=[kept]).execute(context)
    assert context["outlet_events"][kept].extra == {"why": "not due", "backfill": False}
