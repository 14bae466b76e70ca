"""The task `ingest`: it names the partitions that no run has brought, and the command that brings them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from muster.settings import settings
from muster_airflow.operators.ingest import IngestOperator
from tests.plugins.airflow_task import WORKLOAD, context_of

JOB = """
import pathlib, sys
result = pathlib.Path(dict(zip(sys.argv[1::2], sys.argv[2::2]))["--result"])
result.parent.mkdir(parents=True, exist_ok=True)
result.write_text('{"rows": 3}')
"""
WEEKLY = WORKLOAD.replace("2024-01-01}", '2024-01-01, cron: "0 6 * * 1", catchup: false}')


@pytest.fixture
def ingest(tmp_path: Path, home: Path, workload: Path):  # type: ignore[no-untyped-def]
    """Run the task for 2024-02-05, some earlier partitions having been ingested; return its result."""
    (tmp_path / "job.py").write_text(JOB, encoding="utf-8")

    def run(text: str, *ingested: str) -> dict[str, Any]:
        workload.write_text(text, encoding="utf-8")
        results = Path(settings().store_root, "results", "made", "ingest")
        results.mkdir(parents=True)
        for partition in ingested:
            (results / f"{partition}-scheduled.1.json").write_text(json.dumps({"rows": 1}))
        operator = IngestOperator(
            task_id="ingest", job=str(tmp_path / "job.py"), workload=str(workload), spark=False, outlets=[]
        )
        return operator.execute(context_of())

    return run


def test_partitions_that_no_run_has_brought_are_named_with_the_command_that_brings_them(
    ingest: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    result = ingest(WEEKLY, "2024-01-08", "2024-01-22")
    assert result == {"rows": 3, "left_out": ["2024-01-15", "2024-01-29"]}
    printed = capsys.readouterr().out
    assert "2024-01-15, 2024-01-29; to bring them: ./muster backfill made --from 2024-01-15" in printed
    assert "--to 2024-01-29, or the DAG backfill" in printed


def test_an_old_partition_run_by_hand_asks_for_no_more_than_the_windows_hold(ingest: Any) -> None:
    years_ago = WEEKLY.replace("start: 2024-01-01", "start: 2020-01-06")
    assert ingest(years_ago, "2020-03-02", "2024-01-29")["left_out"] == ["2024-01-15", "2024-01-22"]


@pytest.mark.parametrize(
    ("text", "ingested"),
    [
        (WEEKLY, []),
        (WEEKLY, ["2024-01-22", "2024-01-29"]),
        (WEEKLY, ["2024-01-29", "2024-02-05", "2024-02-19"]),
        (WORKLOAD, ["2024-01-01"]),
    ],
)
def test_nothing_is_left_out_of_what_never_began_or_is_triggered_by_hand(
    ingest: Any, text: str, ingested: list[str]
) -> None:
    assert ingest(text, *ingested) == {"rows": 3}
