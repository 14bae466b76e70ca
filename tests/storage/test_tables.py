"""What the record of a table says: names that the workload's checks know too, and which stage makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.storage.delta import created
from muster.storage.query import NotWritten, read_rows
from muster.storage.store import Store
from muster.storage.tables import PREDICTIONS, TABLES
from muster.workload.spec import PREDICTED, Workload
from tests.training.conftest import DECLARED


def test_no_declared_column_takes_the_place_of_one_that_predictions_have() -> None:
    assert {*PREDICTIONS.names, "predicted"} == PREDICTED


def test_a_table_whose_stage_had_no_row_for_it_is_empty_and_one_of_a_stage_to_come_is_not_there(tmp_path: Path) -> None:
    workload = Workload.model_validate(DECLARED)
    store = Store(str(tmp_path), workload.name)
    with pytest.raises(NotWritten, match="has no table 'quarantine' yet: its stage 'ingest' writes it"):
        read_rows(workload, store, "quarantine")
    created(store, "observations", TABLES["observations"].schema(workload))
    rows = read_rows(workload, store, "quarantine")
    assert (rows.total, rows.table.column_names) == (0, ["date", "file", "row", "reason"])
    with pytest.raises(NotWritten, match="its stage 'train' writes it"):
        read_rows(workload, store, "models")
