"""Tables whose files alone do not say which rows they have: refused by whoever opens them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.champions.journal import Journal
from muster.context import Context
from muster.evaluation.candidates import read_candidates
from muster.features.files import list_features
from muster.promotion.verdicts import read_verdicts
from muster.scoring.score import count_predictions
from muster.storage.delta import replace_rows
from muster.storage.query import read_rows
from muster.storage.store import NoSuchVersion, Store, TableVersion, UnreadableTable, table_id
from muster.storage.tables import TABLES
from muster.training.expected_groups import expected_groups
from muster.trial.group_observations import observe
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from muster_local import PROJECT
from tests.training.conftest import DECLARED

FEATURES = ["deletionVectors", "columnMapping", "typeWidening", "v2Checkpoint"]
PARTITION = "2024-02-05"
DAYS = DateRange(date(2024, 1, 1), date(2024, 3, 1))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    workload = Workload.model_validate(DECLARED)
    return Context(workload, tmp_path, Store(str(tmp_path), workload.name))


def write(context: Context, table: str) -> Path:
    """Write an empty table; return the folder of its log."""
    schema = TABLES[table].schema(context.workload)
    by = list(TABLES[table].partitioned_by) or None
    write_deltalake(context.store.table(table), schema.empty_table(), mode="overwrite", partition_by=by)
    return Path(context.store.table(table)) / "_delta_log"


def ask_of_readers(log: Path, feature: str) -> None:
    """Let a table's next version ask that of its readers."""
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7}
    asked = {"readerFeatures": [feature], "writerFeatures": [feature]}
    (log / f"{1:020}.json").write_text(json.dumps({"protocol": protocol | asked}) + "\n")


READERS: dict[str, Callable[[Context], Any]] = {
    "features": lambda context: list_features(context, DAYS),
    "features, another way": lambda context: expected_groups(context.store, 1, context.at(PARTITION).windows),
    "observations": lambda context: observe(context.at(PARTITION), "a", DAYS),
    "ledger": lambda context: read_candidates(context.at(PARTITION), []),
    "models": lambda context: replace_rows(context.store, "models", pa.table({}), "true"),
    "decisions": lambda context: read_verdicts(context.at(PARTITION)),
    "predictions": lambda context: count_predictions(context.at(PARTITION)),
    "alias_journal": lambda context: Journal(context.store),
    "quarantine": lambda context: read_rows(context.workload, context.store, "quarantine"),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_table_with_deleted_rows_in_its_files_is_refused_by_every_reader(reader: str, context: Context) -> None:
    table = reader.split(",")[0]
    ask_of_readers(write(context, table), "deletionVectors")
    with pytest.raises(UnreadableTable, match=rf"/{table}' has deletionVectors.* deleted rows would be there"):
        READERS[reader](context)


@pytest.mark.parametrize("feature", FEATURES)
def test_it_says_what_to_do(feature: str, context: Context) -> None:
    ask_of_readers(write(context, "ledger"), feature)
    with pytest.raises(UnreadableTable, match=rf"Spark SQL: .*ALTER TABLE delta.`.*ledger` DROP FEATURE {feature}$"):
        context.store.open("ledger")
    assert context.store.open("ledger", 0) is not None


def test_columns_under_other_names_are_refused_where_no_feature_names_them(context: Context) -> None:
    log = write(context, "ledger")
    lines = (log / f"{0:020}.json").read_text().splitlines()
    (metadata,) = (json.loads(line) for line in lines if "metaData" in line)
    schema = json.loads(metadata["metaData"]["schemaString"])
    for number, column in enumerate(schema["fields"], 1):
        mapping = {"id": number, "physicalName": f"col-{number}"}
        column["metadata"] = {f"delta.columnMapping.{name}": value for name, value in mapping.items()}
    configuration = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": str(len(schema["fields"]))}
    metadata["metaData"] |= {"configuration": configuration, "schemaString": json.dumps(schema)}
    protocol = {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}
    (log / f"{1:020}.json").write_text(f"{json.dumps(protocol)}\n{json.dumps(metadata)}\n")
    with pytest.raises(UnreadableTable, match="has columnMapping"):
        context.store.open("ledger")


def test_a_table_as_delta_makes_it_is_read(context: Context) -> None:
    ask_of_readers(write(context, "ledger"), "timestampNtz")
    assert context.store.open("ledger") is not None


def test_tables_are_opened_in_one_place() -> None:
    files = [file for folder in ("include", "jobs", "plugins") for file in (PROJECT / folder).rglob("*.py")]
    opening = {file.name for file in files if "DeltaTable(" in file.read_text(encoding="utf-8")}
    assert opening == {"store.py", "table.py"}  # Muster's own, and a source's, which may have what its own have not


def test_a_version_is_that_of_the_table_that_it_is_known_with(context: Context) -> None:
    write(context, "ledger")
    table = context.store.open("ledger")
    assert table is not None
    for wanted in (0, TableVersion(0), TableVersion(0, table_id(table))):
        assert context.store.open("ledger", wanted) is not None
    with pytest.raises(NoSuchVersion, match=r"version 0 of .*ledger' is not there any more: another table has taken"):
        context.store.open("ledger", TableVersion(0, "another"))
    with pytest.raises(NoSuchVersion, match=r"version 7 of .*ledger' is not there any more: the table is at version 0"):
        context.store.open("ledger", 7)
