"""A backfill in the real Airflow: stopped and gone on with, then once more; rows are as before, none stands twice."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from muster.storage.store import Store
from muster_local import PROJECT
from tests.conftest import BACKFILLED, RunningStack, launcher
from tests.e2e.rest import STAGES, Airflow, Json, wait_for
from tests.parcels import MINUTES, frame

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("backfill")]
PARTITIONS = ("2024-02-12", "2024-02-19", "2024-02-26")
BEFORE = "2024-02-05"
"""Older than the first champion, which has learnt from its slice."""
RANGE = (BACKFILLED, "--from", PARTITIONS[0], "--to", PARTITIONS[-1])
TABLES = ("features", "ledger", "models", "decisions", "predictions")
OF_THE_RUN = ["seconds", "scored_at", "features_version", "mlflow_run_id"]


@dataclass
class Backfills:
    """The workload's backfills, by Airflow's REST API and by the command."""

    stack: RunningStack

    @property
    def airflow(self) -> Airflow:
        return Airflow(self.stack.settings.airflow_url)

    @property
    def store(self) -> Store:
        return Store(self.stack.settings.store_root, BACKFILLED)

    def begin(self, log: Path, *arguments: str) -> subprocess.Popen[str]:
        command = [*launcher(), "backfill", *arguments]
        with log.open("w") as out:
            return subprocess.Popen(command, env=self.stack.env, cwd=PROJECT, stdout=out, stderr=out, text=True)

    def umbrellas(self) -> list[Json]:
        runs = self.airflow.get("/dags/backfill/dagRuns", limit=100, order_by="id")["dag_runs"]
        return [run for run in runs if run["conf"]["workload"] == BACKFILLED]

    def runs(self) -> list[Json]:
        return [
            run
            for stage in STAGES
            for run in self.airflow.get(f"/dags/{BACKFILLED}.{stage}/dagRuns", limit=100)["dag_runs"]
        ]

    def rows(self) -> dict[str, pd.DataFrame]:
        """Return every table's rows, in an order of their own, without what tells one run from the next."""
        tables = {name: frame(self.store, name).drop(columns=OF_THE_RUN, errors="ignore") for name in TABLES}
        tables["journal"] = frame(self.store, "alias_journal")
        return {
            name: table.sort_values([*table.columns], key=lambda column: column.astype(str), ignore_index=True)
            for name, table in tables.items()
        }


@pytest.fixture
def backfills(started_stack: RunningStack) -> Backfills:
    made = Backfills(started_stack)
    MINUTES.land(made.store)
    return made


def stop_in_the_middle(backfills: Backfills, log: Path) -> None:
    """Mark the backfill's run as failed while the first partition is trained; the command then says so and ends."""
    command = backfills.begin(log, *RANGE, "--promote")

    def training() -> Json | None:
        return next((run for run in backfills.runs() if run["dag_id"] == f"{BACKFILLED}.train"), None)

    assert wait_for(training, "train", 600)["partition_key"] == PARTITIONS[0]
    [run] = backfills.umbrellas()
    backfills.airflow.ask("PATCH", f"/dags/backfill/dagRuns/{run['dag_run_id']}", json={"state": "failed"})
    assert command.wait(300) == 1, log.read_text()
    assert "the same command goes on" in log.read_text()

    def at_rest() -> Json | None:
        return {} if all(run["state"] not in ("queued", "running") for run in backfills.runs()) else None

    wait_for(at_rest, "the stage at work", 300)


def test_one_that_was_stopped_goes_on_and_another_leaves_the_same_rows(backfills: Backfills, tmp_path: Path) -> None:
    stop_in_the_middle(backfills, tmp_path / "log")
    begun = {(run["dag_id"], run["partition_key"]) for run in backfills.runs()}
    assert {partition for _, partition in begun} == {PARTITIONS[0]}
    assert f"{BACKFILLED}.promote" not in {dag for dag, _ in begun}

    told = backfills.stack.muster("backfill", *RANGE, "--promote", timeout=2400).stdout
    [run] = backfills.umbrellas()
    assert f"backfill {run['dag_run_id']} goes on" in told
    assert f"{BACKFILLED} {PARTITIONS[0]} to {PARTITIONS[-1]}: 18 done" in told
    journal = frame(backfills.store, "alias_journal")
    assert [*journal.sort_values("at")["partition"]] == sorted(journal["partition"])
    before = backfills.rows()
    assert sorted(before["predictions"]["partition"].unique()) == [*PARTITIONS]
    assert not before["predictions"].duplicated(["partition", "row_id"]).any()
    assert not (before["predictions"]["seen_in_training"] == True).any()  # noqa: E712 - or null

    last = (BACKFILLED, "--from", PARTITIONS[-1], "--to", PARTITIONS[-1])
    told = backfills.stack.muster("backfill", *last, timeout=1200).stdout
    assert ": 5 done" in told
    assert len(backfills.umbrellas()) == 2
    for name, table in backfills.rows().items():
        pd.testing.assert_frame_equal(table, before[name], obj=name)

    early = (BACKFILLED, "--from", BEFORE, "--to", BEFORE, "--stages", "score")
    told = backfills.stack.muster("backfill", *early, timeout=600).stdout
    assert "score skipped: backfilled ... cannot be scored: there is no champion yet that is as old as" in told
    backfills.stack.muster("backfill", *early, "--champion", "today", timeout=600)
    predictions = frame(backfills.store, "predictions").set_index("partition").loc[BEFORE]
    seen = predictions["origin_run"].notna()
    assert seen.any()
    assert (predictions["seen_in_training"] == True)[seen].all()  # noqa: E712 - null where no model answered
    assert predictions["seen_in_training"][~seen].isna().all()
