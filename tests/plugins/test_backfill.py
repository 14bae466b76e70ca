"""A backfill never promotes by accident, however far up the line it began."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from muster_airflow.backfill import BackfillRefused, comes_from_backfill, refuse_backfill
from tests.plugins.airflow_task import context_of


def triggered_by(source_run_id: str | None, **extra: Any) -> dict[str, Any]:
    event = SimpleNamespace(source_run_id=source_run_id, extra=extra)
    return context_of(run_id="asset_triggered__1", triggering_asset_events={"decisions": [event]})


@pytest.mark.parametrize(
    "context",
    [
        context_of(run_id="backfill__1"),
        triggered_by("backfill__1"),
        triggered_by("asset_triggered__0", backfill=True),
    ],
    ids=["its own run", "the run before", "a run further up"],
)
def test_refused_when_a_backfill_caused_it(context: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BackfillRefused, match="partition 2024-02-05 comes from a backfill and is not promoted"):
        refuse_backfill(context)  # type: ignore[arg-type]
    assert "is not promoted; to promote it, trigger this DAG by hand" in caplog.text


@pytest.mark.parametrize(
    "context",
    [context_of(), context_of(run_id="scheduled__1"), triggered_by("manual__1"), triggered_by(None, backfill=False)],
    ids=["by hand", "scheduled", "by an ordinary event", "by an event from outside"],
)
def test_let_through_when_none_did(context: dict[str, Any]) -> None:
    refuse_backfill(context)  # type: ignore[arg-type]
    assert not comes_from_backfill(context)  # type: ignore[arg-type]


def test_let_through_when_a_human_says_so() -> None:
    refuse_backfill({**triggered_by("backfill__1"), "params": {"allow_backfill": True}})  # type: ignore[arg-type]
