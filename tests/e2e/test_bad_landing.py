"""A file that was cut off on its way: the partition fails with the reason, and nothing else happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.conftest import RunningStack
from tests.e2e.expected import Week
from tests.e2e.rest import STAGES, WORKLOAD, Airflow

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def cut_off(running_stack: RunningStack, weeks: tuple[Week, Week]) -> Iterator[Path]:
    """A file of the third week, cut off in the middle; whole again afterwards."""
    day = weeks[-1].ends + timedelta(days=2)
    file = running_stack.home / "store" / "landing" / WORKLOAD / f"{day}.csv.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    yield file
    file.write_bytes(whole)


def test_a_cut_off_file_fails_its_partition_and_leaves_the_tables(
    airflow: Airflow, open_table: Callable[[str], DeltaTable], weeks: tuple[Week, Week], cut_off: Path
) -> None:
    partition = str(weeks[-1].ends)
    tables = [folder.name for folder in (cut_off.parents[2] / "tables" / WORKLOAD).iterdir()]
    before = {name: open_table(name).version() for name in tables}
    earlier_runs = {stage: airflow.runs(stage, partition) for stage in STAGES}

    airflow.trigger("ingest", partition)
    run = airflow.wait_for_run("ingest", partition, earlier_runs["ingest"])

    assert run["state"] == "failed"
    assert f"landed file '{cut_off}' is cut off" in airflow.log(run)
    assert {name: open_table(name).version() for name in tables} == before
    assert {stage: airflow.runs(stage, partition) for stage in STAGES[1:]} == {s: earlier_runs[s] for s in STAGES[1:]}
