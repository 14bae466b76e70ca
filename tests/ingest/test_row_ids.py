"""By `unique: row` each row is an observation, with an id that neither order nor partitioning changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from muster.context import Context
from muster.ingest.names import OtherRowIds, check_row_ids
from muster.ingest.row_checks import check_day, check_rows, good_rows
from muster.ingest.sources.kind import RowBlock
from muster.ingest.sources.kinds import complete_arrivals
from muster.ingest.typed import plain
from muster.storage.store import Store
from muster.trial.landed_rows import landed_group
from muster.workload.spec import Workload
from tests.ingest.formats.made import DAY, DECLARED, put

AT = datetime(2024, 1, 15, 6, tzinfo=UTC)
ROW = {"place": "north", "line": 1, "at": AT, "warm": 1.5}
ROWS = [ROW, ROW, {**ROW, "warm": None}, {**ROW, "place": "a,b"}, ROW, {**ROW, "place": "a,b"}]
LINE = f"north,1,{DAY}T06:00:00,1.5\n"


def by_row(root: Path, files: str | None = None, **changes: Any) -> Context:
    """Return the workload of a table, or of files."""
    columns = {name: DECLARED["columns"][name] for name in ROW}
    source = {"table": str(root / "lake")} if files is None else {"files": files}
    workload = Workload.model_validate({**DECLARED, "columns": columns, "unique": "row", "source": source, **changes})
    return Context(workload, root, Store(str(root), "made"))


def ids(context: Context) -> list[str]:
    named: list[str] = good_rows(context.workload, check_day(context, DAY))["row_id"].to_pylist()
    return named


def blocks(rows: Sequence[dict[str, Any]], *sizes: int) -> Iterator[RowBlock]:
    for size in sizes:
        batch = pa.RecordBatch.from_pylist(list(rows[:size]))
        yield RowBlock(pa.record_batch([plain(column) for column in batch.columns], names=batch.schema.names))
        rows = rows[size:]


def test_rows_of_a_file_are_named_by_it_and_their_number_and_equal_ones_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster.ingest.formats.csv_rows.BLOCK_BYTES", 60)
    context = by_row(tmp_path, "{date}/*.csv")
    put(tmp_path, f"{DAY}/b.csv", "place,line,at,warm\n" + LINE * 5)
    put(tmp_path, f"{DAY}/a.csv", f"place,line,at,warm\n{LINE}north,x,{DAY},1\nnorth,1\n{LINE}")
    assert check_day(context, DAY)["reason"].drop_null().to_pylist() == [
        "line: not of type int",
        "row: fewer fields than columns",
    ]
    a = [f"{DAY}/a.csv#1", f"{DAY}/a.csv#3"]  # the refused row is a row, the cut line is none
    assert ids(context) == [*a, *(f"{DAY}/b.csv#{number}" for number in range(1, 6))]


@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet"])
def test_the_number_is_that_of_the_row_whatever_the_format(tmp_path: Path, end: str) -> None:
    context = by_row(tmp_path, f"{{date}}.{end}")
    match end:
        case "csv":
            put(tmp_path, f"{DAY}.csv", "place,line,at,warm\n" + LINE * 3)
        case "jsonl":
            line = f'{{"place": "north", "line": 1, "at": "{DAY}"}}\n'
            put(tmp_path, f"{DAY}.jsonl", f"{line}\n{line}{line}")
        case "parquet":
            pq.write_table(pa.Table.from_pylist([ROW] * 3), tmp_path / f"{DAY}.parquet", row_group_size=2)
    assert ids(context) == [f"{DAY}.{end}#{number}" for number in (1, 2, 3)]


def test_rows_without_an_order_have_the_same_ids_in_any(tmp_path: Path) -> None:
    workload, random = by_row(tmp_path).workload, Random(0)
    first = good_rows(workload, check_rows(workload, DAY, blocks(ROWS, 6)))
    assert [name[-2:] for name in first["row_id"].to_pylist()] == ["#1", "#2", "#1", "#1", "#3", "#2"]
    assert len(set(first["row_id"].to_pylist())) == len(ROWS)
    for sizes in ((1, 5), (2, 2, 2), (4, 1, 1)):
        rows = random.sample(ROWS, len(ROWS))
        again = good_rows(workload, check_rows(workload, DAY, blocks(rows, *sizes)))
        order = [("row_id", "ascending")]
        assert again.sort_by(order) == first.sort_by(order)


def test_a_refused_row_takes_no_number_and_a_new_column_changes_none(tmp_path: Path) -> None:
    workload = by_row(tmp_path).workload
    texts = [{name: None if value is None else str(value) for name, value in row.items()} for row in ROWS[:2]]
    wrong = {**texts[0], "warm": "hot"}
    missing = {**texts[0], "warm": None}
    names = good_rows(workload, check_rows(workload, DAY, blocks([wrong, missing, *texts], 1, 3)))["row_id"]
    without = good_rows(workload, check_rows(workload, DAY, blocks([missing, *texts], 3)))["row_id"]
    assert names.to_pylist() == without.to_pylist()
    columns = {**{name: DECLARED["columns"][name] for name in ROW}, "note": "string?"}
    more = by_row(tmp_path, columns=columns).workload
    added = [{**row, "note": None} for row in ROWS]
    first = good_rows(workload, check_rows(workload, DAY, blocks(ROWS, 6)))["row_id"]
    assert good_rows(more, check_rows(more, DAY, blocks(added, 6)))["row_id"] == first


def test_one_group_of_a_table_or_a_file_gets_the_ids_of_the_whole_day(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "lake"), pa.Table.from_pylist(ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / f"{DAY}.parquet")
    for context in (by_row(tmp_path), by_row(tmp_path, "{date}.parquet")):
        whole = good_rows(context.workload, check_day(context, DAY))
        for group in ("north,1", '"a,b",1'):
            own = landed_group(context, complete_arrivals(context, [DAY]), group)
            assert own.rows == whole.filter(pc.equal(whole["group"], group))
            assert own.rows.num_rows > 1


def test_ids_by_columns_and_ids_of_rows_are_not_taken_for_each_other(tmp_path: Path) -> None:
    workload = by_row(tmp_path).workload
    of_rows = good_rows(workload, check_rows(workload, DAY, blocks(ROWS, 6)))
    check_row_ids(workload, of_rows)
    named = workload.model_copy(update={"unique": ("place", "at")})
    with pytest.raises(OtherRowIds, match=r"of 2024-01-15 have other ids than 'unique: \[place, at\]' .*migrate made"):
        check_row_ids(named, of_rows)
    by_columns = good_rows(named, check_rows(named, DAY, blocks(ROWS[2:4], 2)))
    with pytest.raises(OtherRowIds, match=r"have other ids than 'unique: row' gives them; declare .*migrate made"):
        check_row_ids(workload, by_columns)
