"""The rows of before, rewritten as their columns are declared now: all of them in one commit, or none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable

from muster import groups
from muster.cli import main
from muster.context import Context
from muster.ingest.migration import NoSuchValue, migrate
from muster.settings import settings
from muster.storage.delta import replace_rows
from muster.storage.evolution import OtherColumns, RequiredColumn, check_observations
from muster.storage.query import NotWritten
from muster.storage.store import Store
from muster.storage.tables import observations_schema
from muster.workload.spec import Workload

COLUMNS = {"id": "string", "depot": "string", "courier": "int", "at": "timestamp", "kg": "float?"}
DECLARED: Mapping[str, Any] = {
    "name": "made",
    "keys": ["depot"],
    "time": "at",
    "columns": COLUMNS,
    "unique": ["id", "at"],
    "label": {"column": "kg", "above": 1},
    "features": {"columns": ["hour"], "buckets": 5},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 2, "evaluate": 1},
    "schedule": {"start": "2024-01-08"},
}


def declared(**changes: Any) -> Workload:
    return Workload.model_validate({**DECLARED, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two days of two rows."""
    store, before = Store(str(tmp_path), "made"), declared()
    for day in (8, 9):
        rows = [
            {
                "id": f"{day}{number}",
                "depot": "a,b",
                "courier": number,
                "at": datetime(2024, 1, day, 10, 0, number, 500_000 * number, UTC),
                "kg": 1.5 if number else None,
                "group": '"a,b"',
                "bucket": groups.bucket('"a,b"', 5),
                "row_id": f"{day}{number},as ingested",
                "date": date(2024, 1, day),
            }
            for number in (0, 1)
        ]
        table = pa.Table.from_pylist(rows, observations_schema(before))
        replace_rows(store, "observations", table, f"date = '2024-01-{day:02}'")
    return store


def rows(store: Store) -> list[dict[str, Any]]:
    table = DeltaTable(store.table("observations")).to_pyarrow_table().to_pylist()
    return sorted(table, key=lambda row: row["at"])


def run(store: Store, **changes: Any) -> Any:
    return migrate(Context(declared(**changes), Path(), store))


def test_types_columns_and_names_are_those_that_are_declared_now(store: Store) -> None:
    before, version = rows(store), DeltaTable(store.table("observations")).version()
    columns = {**COLUMNS, "id": "int", "courier": "string", "weather": "string?"}
    changes = {"columns": {name: kind for name, kind in columns.items() if name != "kg"}, "keys": ["depot", "courier"]}
    changes["label"] = {"column": "id", "above": 1}
    with pytest.raises(
        OtherColumns, match=r"'id' is string in the table, int64 declared, 'courier' is int64 .* migrate"
    ):
        check_observations(declared(**changes), store.open("observations"))

    done = run(store, **changes)

    assert (done.days, done.rows) == (2, 4)
    assert done.changes == ["id: string -> int64", "courier: int64 -> string", "weather: new", "kg: gone"]
    table = DeltaTable(store.table("observations"))
    assert (table.version(), table.metadata().partition_columns) == (version + 1, ["date"])
    check_observations(declared(**changes), table)
    after = rows(store)
    assert [(row["id"], row["courier"], row["weather"]) for row in after] == [
        (int(row["id"]), str(row["courier"]), None) for row in before
    ]
    assert [row["at"] for row in after] == [row["at"] for row in before]
    assert [row["group"] for row in after] == ['"a,b",0', '"a,b",1'] * 2
    assert [row["bucket"] for row in after] == [groups.bucket(row["group"], 5) for row in after]
    assert [row["row_id"] for row in after][:2] == ["80,2024-01-08 10:00:00", "81,2024-01-08 10:00:01.5"]
    assert "kg" not in after[0]


REFUSED: Mapping[str, Any] = {
    "a value that is none": (
        {"columns": {**COLUMNS, "depot": "int"}},
        NoSuchValue,
        "'depot' of 2024-01-08 does not read as int: .*nothing was rewritten; declare 'depot' as before",
    ),
    "a part that would be lost": ({"columns": {**COLUMNS, "kg": "int?"}}, NoSuchValue, "'kg' of 2024-01-08"),
    "a new column that must have a value": (
        {"columns": {**COLUMNS, "weather": "string"}},
        RequiredColumn,
        "the new column 'weather'",
    ),
}


@pytest.mark.parametrize(("changes", "error", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_rewritten_leaves_all_as_it_was(
    store: Store, changes: dict[str, Any], error: type[Exception], problem: str
) -> None:
    files = sorted(Path(store.table("observations")).rglob("*"))
    with pytest.raises(error, match=problem):
        run(store, **changes)
    assert sorted(Path(store.table("observations")).rglob("*")) == files


def test_without_the_table_it_says_which_stage_writes_it(tmp_path: Path) -> None:
    with pytest.raises(NotWritten, match="its stage 'ingest' writes it"):
        run(Store(str(tmp_path), "made"))


def test_the_command_tells_what_it_did(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "made.py").write_text("def features(rows): ...\n")
    described = {name: value for name, value in DECLARED.items() if name != "name"}
    described["columns"] = {**COLUMNS, "id": "int"}
    (tmp_path / "made.yaml").write_text(yaml.safe_dump(described))
    monkeypatch.setenv("MUSTER_STORE", str(tmp_path))
    monkeypatch.setenv("MUSTER_WORKLOADS", str(tmp_path))
    settings.cache_clear()
    with pytest.raises(SystemExit) as exit_info:
        main(["migrate", "made"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == "made: rewrote 4 rows of 2 days (id: string -> int64); run features again\n"
