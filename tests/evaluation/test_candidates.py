"""A run's candidates are judged on the features that they were trained on, or not at all."""

from __future__ import annotations

import os
import shutil
import time
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.context import Context, PartitionContext
from muster.evaluation.candidates import Candidates, NotTrained, read_candidates
from muster.features.files import list_features
from muster.mlflow.candidates import TaggedCandidate
from muster.models.vouched import ADDED, models_digest
from muster.storage.store import Store, table_id
from muster.storage.tables import LEDGER, MODELS, features_schema
from muster.workload.spec import Workload

PARTITION, RUN = "2024-01-29", "2024-01-29-00000000"
WORKLOAD = Workload.model_validate(
    {
        "name": "made",
        "keys": ["place"],
        "time": "at",
        "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
        "unique": ["place", "at"],
        "label": {"column": "delay", "above": 15},
        "features": {"columns": ["hour"]},
        "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
        "windows": {"train": 14, "evaluate": 7},
        "schedule": {"start": "2024-01-01"},
    }
)


class Trained:
    """A store with features, and a run that learnt from them."""

    def __init__(self, root: Path) -> None:
        self.store, self.root = Store(str(root), "made"), root
        self.digest = ""

    @property
    def context(self) -> PartitionContext:
        return Context(WORKLOAD, self.root, self.store).at(PARTITION)

    def features(self, writes: int = 1) -> tuple[int, str]:
        """Append a row so many times; return the table's version and id."""
        row = {"group": "a", "date": date(2024, 1, 22), "partition": "2024-01-22", "bucket": 0}
        for _ in range(writes):
            rows = pa.Table.from_pylist([row], features_schema(WORKLOAD))
            write_deltalake(self._place("features"), rows, mode="append", partition_by=["partition", "bucket"])
        table = self.store.open("features")
        assert table is not None
        return table.version(), table_id(table)

    def train(self, version: int, table: str | None) -> None:
        """Write down a run of one model; without `table` as an older Muster did."""
        row: dict[str, Any] = {"partition": PARTITION, "run": RUN, "group": "a", "bucket": 0}
        model = row | {"algorithm": "logistic", "mlflow_run_id": "m", "train_to": date(2024, 1, 22)}
        model |= {"features_version": version, "features_table": table, "shard": "packs/run/a.bin"}
        columns = MODELS if table else pa.schema([field for field in MODELS if field.name not in ADDED])
        rows = pa.Table.from_pylist([model], columns)
        self.digest = models_digest(rows)
        write_deltalake(self._place("models"), rows, partition_by=["partition"])
        ledger = pa.Table.from_pylist([row | {"state": "trained"}], LEDGER)
        write_deltalake(self._place("ledger"), ledger, partition_by=["partition"])

    def move_features_away(self) -> None:
        time.sleep(0.01)  # tables' times are in milliseconds
        shutil.move(self._place("features"), self.root / "away")

    def candidates(self) -> Candidates:
        return read_candidates(self.context, [TaggedCandidate("m", PARTITION, RUN, "logistic", self.digest)])

    def rows(self) -> int:
        return sum(list_features(self.context, self.context.windows.run, self.candidates().features).rows.values())

    def _place(self, table: str) -> str:
        os.makedirs(self.store.table(table), exist_ok=True)
        return self.store.table(table)


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    return Trained(tmp_path)


@pytest.mark.parametrize("known", [True, False], ids=["its table is named", "it is not"])
def test_candidates_are_judged_on_the_very_version_that_they_were_trained_on(trained: Trained, known: bool) -> None:
    version, table = trained.features(2)
    trained.train(version, table if known else None)
    trained.features(3)
    assert trained.rows() == 2


@pytest.mark.parametrize("writes", [1, 5], ids=["with fewer versions", "with more"])
@pytest.mark.parametrize("known", [True, False], ids=["its table is named", "it is not"])
def test_another_table_in_the_place_of_theirs_is_refused(trained: Trained, known: bool, writes: int) -> None:
    version, table = trained.features(3)
    trained.train(version, table if known else None)
    trained.move_features_away()
    trained.features(writes)
    with pytest.raises(NotTrained, match=r"features.*; run train for this partition first"):
        trained.candidates()


def test_without_any_table_features_are_missing_and_not_the_training(trained: Trained) -> None:
    trained.train(*trained.features())
    trained.move_features_away()
    assert trained.candidates().features is not None
