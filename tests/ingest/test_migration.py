"""The rows of before, rewritten as their columns are declared now: all of them in one commit, or none."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from deltalake import DeltaTable

from muster import groups
from muster.cli import main
from muster.context import Context
from muster.ingest.arrivals import day_facts, ingested_days, written_at
from muster.ingest.migration import Migration, RefusedRows, as_declared, migrate
from muster.ingest.names import check_row_ids
from muster.ingest.sources.files import FileSource
from muster.ingest.values import values
from muster.settings import settings
from muster.storage.delta import replace_rows
from muster.storage.evolution import OtherColumns, OtherZone, RequiredColumn, check_observations
from muster.storage.provenance import file_digests, read_facts, write_facts
from muster.storage.query import NotWritten
from muster.storage.store import Store
from muster.storage.tables import ARROW_TYPES, observations_schema
from muster.workload.column import ColumnType
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
    "gate": {"resample": "row"},
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
        RefusedRows,
        r"ingest would refuse 2 rows of 2024-01-08: depot: not of type int \(2\), 2 rows of 2024-01-09: depot: .*; "
        r'the first: depot: not of type int: {"id":"80","depot":"a,b",.*nothing was rewritten. Declare .* as before',
    ),
    "a part that would be lost": (
        {"columns": {**COLUMNS, "kg": "int?"}},
        RefusedRows,
        r"1 rows of 2024-01-08: kg: not of type int",
    ),
    "a value out of range": ({"columns": {**COLUMNS, "kg": "float? [2, 9]"}}, RefusedRows, r"kg: below 2 \(1\)"),
    "a value that must be there now": ({"columns": {**COLUMNS, "kg": "float"}}, RefusedRows, r"kg: missing \(1\)"),
    "rows that share what is unique": (
        {"unique": ["depot"]},
        RefusedRows,
        r"another row has the same depot, not the same values \(2\)",
    ),
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


def test_where_no_column_is_another_a_bad_day_keeps_no_other_from_being_rewritten(
    store: Store, command_of: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = DeltaTable(store.table("observations")).to_pyarrow_table(filters=[("date", "=", date(2024, 1, 8))])
    bad = bad.set_column(bad.column_names.index("courier"), "courier", pa.array([7, 7]))
    replace_rows(store, "observations", bad, "date = '2024-01-08'")
    before = file_digests(store, "observations")
    assert command_of(columns={**COLUMNS, "courier": "int [0, 1]"}) == 65
    told = r"error: .* refuse 2 rows of 2024-01-08: courier: above 1 \(2\); .*; 1 other day rewritten"
    assert re.match(told, capsys.readouterr().err)
    after = file_digests(store, "observations")
    assert {day for day in before if after[day] != before[day]} == {"2024-01-09"}


TEXTS: Mapping[str, tuple[str, ...]] = {
    "int": ("+5", " 5", "0x10", "1.0", "1_000", "9223372036854775808"),
    "float": ("inf", "nan", "1.50 ", "0x10", "1e400"),
    "bool": ("yes", "F", "on"),
    "date": ("2024-1-8", "2024-02-30", "2024-01-08 00:00"),
    "timestamp": ("2024-01-08T10:00:00+02:00", "2024-01-08 10:00", "2024-01-08", "2024"),
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts])
def test_a_text_of_before_means_what_it_means_landed(kind: ColumnType, text: str) -> None:
    landed = values(pa.array([text]), kind)
    if landed[0].is_valid:
        assert again(pa.array([text]), kind).equals(landed)
    else:
        with pytest.raises(RefusedRows, match=f"x: not of type {kind}"):
            again(pa.array([text]), kind)


def test_keys_that_were_different_texts_do_not_become_one_group() -> None:
    with pytest.raises(RefusedRows, match=r"depot: a key with leading zeros; declare it as string \(2\)"):
        again(pa.array(["7", "07", "007"]), "int", "depot")


VALUES: Mapping[str, list[Any]] = {
    "string": ["", " a ", "'", '"', "a,b\n", "null", "é\u2028", "007"],
    "int": [0, 7, -(2**63), 2**63 - 1],
    "float": [0.0, -0.0, 0.1, 1.0, 1e16, -1e-7, 5e-324, 1.7976931348623157e308, 123456789012345678.0],
    "bool": [True, False],
    "date": [date(1, 1, 1), date(999, 12, 31), date(1969, 12, 31), date(2024, 2, 29), date(9999, 12, 31)],
    "timestamp": [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2024, 1, 8, tzinfo=UTC),
        datetime(2024, 1, 8, 10, 0, 10, 100_000, UTC),
        datetime(2024, 1, 8, 0, 0, 0, 1, UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    ],
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_every_type_stays_the_very_same(kind: ColumnType) -> None:
    column = pa.array([None, *VALUES[kind]], ARROW_TYPES[kind])
    assert again(column, kind).equals(column)
    assert list(map(str, again(column, kind).to_pylist())) == list(map(str, column.to_pylist()))  # 0.0 equals -0.0
    assert again(again(column, "string"), kind).equals(column)


def test_whole_floats_become_integers() -> None:
    assert again(pa.array([1.0, -0.0, None, 2.0**62]), "int").to_pylist() == [1, 0, None, 2**62]


def again(column: pa.Array, kind: ColumnType, name: str = "x") -> pa.Array:
    """Return a day's column after it was declared as of another type."""
    workload = declared(
        columns={**COLUMNS, "courier": "int?", "x": f"{kind}?", **({name: kind} if name != "x" else {})}
    )
    rows = pa.table(
        {
            "id": [str(number) for number in range(len(column))],
            "depot": ["a"] * len(column),
            "at": [datetime(2024, 1, 8, tzinfo=UTC)] * len(column),
        }
    )
    rows = rows.drop_columns([name] if name in rows.column_names else []).append_column(name, column)
    return as_declared(workload, rows, date(2024, 1, 8))[name].combine_chunks()


def test_what_is_as_declared_is_not_touched(store: Store) -> None:
    done = run(store)
    assert (done.days, done.rows, done.changes) == (2, 4, [])  # the rows' ids were others
    files, day = sorted(Path(store.table("observations")).rglob("*")), date(2024, 1, 9)
    assert run(store) == Migration(0, 0, [])
    assert sorted(Path(store.table("observations")).rglob("*")) == files

    other = DeltaTable(store.table("observations")).to_pyarrow_table(filters=[("date", "=", day)])
    other = other.set_column(other.column_names.index("group"), "group", pa.array(["other", "other"]))
    replace_rows(store, "observations", other, f"date = '{day}'")
    before = file_digests(store, "observations")
    assert run(store) == Migration(1, 2, [])
    assert [row["group"] for row in rows(store)] == ['"a,b"'] * 4
    after = file_digests(store, "observations")
    assert {name for name in after if after[name] != before[name]} == {"2024-01-09"}


def test_a_name_with_other_capitals_is_refused_until_it_is_rewritten(store: Store) -> None:
    changes = {"columns": {**{n: kind for n, kind in COLUMNS.items() if n != "kg"}, "KG": "float?"}}
    changes["label"] = {"column": "KG", "above": 1}
    with pytest.raises(OtherColumns, match=r"'kg' has other capitals in the table than 'KG' declared; .* migrate made"):
        check_observations(declared(**changes), store.open("observations"))
    assert run(store, **changes).changes == ["kg: now KG"]
    check_observations(declared(**changes), store.open("observations"))
    assert [row["KG"] for row in rows(store)] == [None, 1.5, None, 1.5]


def test_which_deliveries_the_days_were_is_still_known(store: Store) -> None:
    days = [date(2024, 1, 8), date(2024, 1, 9)]
    files = {day: f"{store.uri(store.landing)}/{day}.csv.gz" for day in days}
    source = FileSource(declared(), store.root)
    Path(store.uri(store.landing)).mkdir(parents=True)
    for file in files.values():
        Path(file).write_text("delivered")
        os.utime(file, (1, 1))
    write_facts(store, day_facts(store, {days[0]: source.arrived(days)[days[0]].delivery}, {days[0]: "2:a"}))
    written = written_at(store)
    time.sleep(0.002)
    run(store, columns={**COLUMNS, "id": "int"})
    facts = read_facts(store, "observations", file_digests(store, "observations"))
    assert list(facts) == ["2024-01-08"]  # of the other day, when its rows were written
    assert facts["2024-01-08"].rows == 2
    assert facts["2024-01-08"].content["2024-01-08"] != "2:a"
    assert written_at(store) == written
    assert ingested_days(store, source.arrived(days)) == set(days)
    os.utime(files[days[0]], (2, 2))
    os.utime(files[days[1]], ns=(0, (written[days[1]] + 1) * 1_000_000))
    assert ingested_days(store, source.arrived(days)) == set()


def test_without_the_table_it_says_which_stage_writes_it(tmp_path: Path) -> None:
    with pytest.raises(NotWritten, match="its stage 'ingest' writes it"):
        run(Store(str(tmp_path), "made"))


@pytest.fixture
def command_of(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `muster migrate` on the workload with some changes; return its exit code."""
    monkeypatch.setenv("MUSTER_STORE", str(tmp_path))
    monkeypatch.setenv("MUSTER_WORKLOADS", str(tmp_path))
    settings.cache_clear()

    def command(**changes: Any) -> int:
        described = {name: value for name, value in {**DECLARED, **changes}.items() if name != "name"}
        (tmp_path / "made.py").write_text("def features(rows): ...\n")
        (tmp_path / "made.yaml").write_text(yaml.safe_dump(described))
        with pytest.raises(SystemExit) as exit_info:
            main(["migrate", "made"])
        return exit_info.value.code  # type: ignore[return-value]

    return command


def test_the_command_tells_what_it_did(command_of: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_of(columns={**COLUMNS, "id": "int"}) == 0
    assert capsys.readouterr().out == "made: rewrote 4 rows of 2 days (id: string -> int64); run features again\n"
    assert command_of(columns={**COLUMNS, "id": "int"}) == 0
    assert capsys.readouterr().out == "made: rewrote nothing: all rows are as they are declared now\n"


def test_ids_of_rows_stay_and_those_of_columns_become_such(store: Store) -> None:
    workload, table = declared(unique="row"), store.open("observations")
    assert table is not None
    day = table.to_pyarrow_dataset().to_table().filter(pc.field("date") == date(2024, 1, 8))
    now = as_declared(workload, day, date(2024, 1, 8))
    assert all(re.fullmatch("[0-9a-f]{32}#1", name) for name in now["row_id"].to_pylist())
    check_row_ids(workload, now)
    names = pa.array(["8.csv#2", "8.csv#7"])
    of_file = day.set_column(day.schema.get_field_index("row_id"), "row_id", names)
    with_note = declared(unique="row", columns={**COLUMNS, "note": "string?"})
    assert as_declared(with_note, of_file, date(2024, 1, 8))["row_id"].to_pylist() == names.to_pylist()
    assert as_declared(declared(), of_file, date(2024, 1, 8))["row_id"].to_pylist() == [
        "80,2024-01-08 10:00:00",
        "81,2024-01-08 10:00:01.5",
    ]


def test_moments_stay_what_they_are_where_times_are_of_a_zone(store: Store) -> None:
    zoned, table = declared(time={"column": "at", "zone": "America/New_York"}), store.open("observations")
    assert table is not None
    day = table.to_pyarrow_dataset().to_table().filter(pc.field("date") == date(2024, 1, 8))
    assert as_declared(zoned, day, date(2024, 1, 8))["at"] == day["at"]
    with pytest.raises(
        OtherZone, match="of 2024-01-08, 2024-01-09 were read in the zone UTC, and declared is America/"
    ):
        migrate(Context(zoned, Path(), store))
    days = [date(2024, 1, 8), date(2024, 1, 9)]
    facts = day_facts(store, dict.fromkeys(days, "1 bytes, 1"), {}, zone="America/New_York")
    write_facts(store, facts)
    assert migrate(Context(zoned, Path(), store)).days == 2  # their ids are made anew
    known = read_facts(store, "observations", file_digests(store, "observations"))
    assert {fact.made_from["zone"] for fact in known.values()} == {"America/New_York"}
