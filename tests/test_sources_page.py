"""docs/sources.md: every example there is read, and the tables of types say what the checks do."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from deltalake import write_deltalake
from sqlalchemy import create_engine

from muster.context import Context
from muster.ingest.formats.driver_values import values_batch
from muster.ingest.formats.opened import BadContent
from muster.ingest.row_checks import check_day, good_rows
from muster.ingest.typed import reads_as, typed
from muster.ingest.values import values
from muster.storage.store import Store
from muster.workload.column import ColumnType
from muster.workload.load import load_workload
from muster.workload.source import WORKLOAD, DeclaredSource, compression
from muster.workload.spec import Workload
from muster_local import PROJECT
from tests.ingest.formats.made import DAY, DECLARED, checked, made, put

TEXT = (PROJECT / "docs" / "sources.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
EXAMPLES: list[dict[str, Any]] = [yaml.safe_load(block)["source"] for block in BLOCKS]
PACKED = {"gzip": gzip.compress, "zstd": zstandard.compress, None: bytes}
TYPES = {"halffloat": pa.float16(), "float": pa.float32(), "double": pa.float64()}
ENTRIES = r"^\| (\w+) \| (`[^|]+) \| (`[^|]+) \|$"
ROWS = [
    {"place": "Zürich", "line": "1", "at": f"{DAY}T06:00:00", "warm": "1.5"},
    {"place": "Bern", "line": "2", "at": f"{DAY}T07:00:00", "warm": None},
]
VALUES = {kind.__name__: kind for kind in (date, datetime, time, timedelta, Decimal, UUID, memoryview)} | {"UTC": UTC}
READ = [{"place": "Zürich", "line": 1, "warm": 1.5}, {"place": "Bern", "line": 2, "warm": None}]


def table(heading: str) -> Iterator[tuple[ColumnType, str, bool]]:
    """Yield each entry of a table: the declared type, the text, and whether it is read."""
    section = TEXT[TEXT.index(heading) :]
    for kind, read, refused in re.findall(ENTRIES, re.split(r"\n(?:\*\*|#)", section)[0], re.MULTILINE):
        for texts, is_read in ((read, True), (refused, False)):
            yield from ((kind, text, is_read) for text in re.findall(r"`([^`]+)`", texts))


def arrow_type(text: str) -> pa.DataType:
    """Return the type that Arrow prints so."""
    if match := re.fullmatch(r"(decimal\d+)\((\d+), (\d+)\)", text):
        return getattr(pa, match[1])(int(match[2]), int(match[3]))
    if match := re.fullmatch(r"(\w+)\[(\w+)\]", text):
        return getattr(pa, match[1])(match[2])
    return TYPES.get(text) or getattr(pa, text.replace("bool", "bool_"))()


def write(path: Path, source: DeclaredSource, rows: list[dict[str, str | None]]) -> None:
    """Write rows as a system would that delivers by this source."""
    if source.read_as == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    if source.read_as == "jsonl":
        lines = [json.dumps({**row, "more": [1]}, ensure_ascii=False) for row in rows]
    else:
        values = [list(rows[0]), *(list(row.values()) for row in rows)]
        lines = [source.separator.join(value or "" for value in row) for row in values]
    path.write_bytes(PACKED[compression(path.name)]("\n".join([*lines, ""]).encode(source.encoding)))


def loaded(folder: Path, source: dict[str, Any]) -> Workload:
    declared = {**DECLARED, "source": source}
    declared["columns"] = {name: declared["columns"][name] for name in ROWS[0]}
    (folder / "made.py").write_text("def features(rows): ...\n")
    (folder / "made.yaml").write_text(yaml.safe_dump(declared))
    return load_workload(folder / "made.yaml")


def read(workload: Workload, folder: Path) -> list[dict[str, Any]]:
    rows = good_rows(workload, check_day(Context(workload, folder, Store(str(folder), "made")), DAY))
    taken: list[dict[str, Any]] = rows.select(["place", "line", "warm"]).to_pylist()
    return sorted(taken, key=lambda row: row["line"])


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda source: str(next(iter(source.values()))))
def test_an_example_is_read(tmp_path: Path, source: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if "sql" in source:
        address = f"sqlite:///{tmp_path}/orders.db"
        monkeypatch.setenv(f"MUSTER_CONNECTION_{source['connection'].upper()}", address)
        rows = pd.DataFrame([{**row, source["changed"]: str(DAY)} for row in ROWS])
        rows.astype({"warm": float}).to_sql("flights", create_engine(address), index=False)
        assert read(loaded(tmp_path, source), tmp_path) == READ
        return
    key = "table" if "table" in source else "files"
    files = re.sub("^/data", f"{tmp_path}/data", source[key])
    workload = loaded(tmp_path, {**source, key: files})
    if key == "table":
        write_deltalake(
            files, pa.Table.from_pylist([{**row, "at": datetime.fromisoformat(str(row["at"]))} for row in ROWS])
        )
        assert read(workload, tmp_path) == READ
        return
    paths = [files.replace(WORKLOAD, "made").replace("{date}", str(DAY)).replace("*", number) for number in ("1", "2")]
    halves = [ROWS[:1], ROWS[1:]] if len(set(paths)) == 2 else [ROWS]
    for name, rows in zip(paths, halves, strict=False):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, workload.source, rows)
        (path.parent / (source.get("complete") or "_")).touch()
    assert read(workload, tmp_path) == READ


@pytest.mark.parametrize(("kind", "text", "is_read"), list(table("**parquet**")))
def test_a_parquet_type_reads_as_the_page_says(kind: ColumnType, text: str, is_read: bool) -> None:
    assert reads_as(arrow_type(text), kind) == is_read
    assert reads_as(pa.dictionary(pa.int32(), arrow_type(text)), kind) == is_read


@pytest.mark.parametrize(("kind", "text", "is_read"), list(table("**jsonl**")))
def test_a_value_of_json_reads_as_the_page_says(tmp_path: Path, kind: ColumnType, text: str, is_read: bool) -> None:
    of_type = {"string": "note", "int": "line", "float": "warm", "bool": "open", "date": "built", "timestamp": "at"}
    column = of_type[kind]
    row = {"place": '"a"', "line": "1", "at": f'"{DAY}"', column: text}
    line = "{" + ", ".join(f'"{name}": {value}' for name, value in row.items()) + "}"
    put(tmp_path, f"{DAY}.jsonl", f"{line}\n")
    good, refused = checked(made(tmp_path, "{date}.jsonl"))
    reasons = [] if is_read else [f"{column}: not of type {kind}"]
    assert (len(good), [reason for _, reason, _ in refused]) == (1 - len(reasons), reasons)


TIMES = re.findall(r"^\| `([^`]+)` \| (\S+) \| (\S+) \|$", TEXT[TEXT.index("## Times") :], re.MULTILINE)


@pytest.mark.parametrize(("text", "in_utc", "in_zone"), TIMES, ids=[text for text, *_ in TIMES])
def test_a_time_of_text_is_read_as_the_page_says(text: str, in_utc: str, in_zone: str) -> None:
    for zone, moment in ((None, in_utc), ("Europe/Berlin", in_zone)):
        [read] = values(pa.array([text]), "timestamp", zone).to_pylist()
        assert (f"`{read.replace(tzinfo=None).isoformat()}`" if read else "refused") == moment


def test_the_table_of_times_has_what_is_read_and_what_is_not() -> None:
    assert len(TIMES) == len(re.findall(r"^\| `", TEXT[TEXT.index("## Times") : TEXT.index("## What is wrong")], re.M))
    assert len({moment for _, moment, _ in TIMES}) > 5


@pytest.mark.parametrize(("kind", "text", "is_read"), list(table("**sql**")))
def test_a_value_of_a_driver_reads_as_the_page_says(tmp_path: Path, kind: ColumnType, text: str, is_read: bool) -> None:
    workload = made(tmp_path, "{date}.csv").workload
    name = next(name for name, column in workload.columns.items() if column.type == kind)
    row = [eval(text, VALUES) if column == name else None for column in workload.columns]
    if is_read:
        assert typed(values_batch(workload, [row])[name], kind).null_count == 0
        return
    with pytest.raises(BadContent, match=f"'{name}' is "):
        values_batch(workload, [row])


def test_the_tables_of_types_are_of_all_declared_ones() -> None:
    for heading in ("**parquet**", "**jsonl**", "**sql**"):
        assert {kind for kind, _, _ in table(heading)} == {"string", "int", "float", "bool", "date", "timestamp"}
