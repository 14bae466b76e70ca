"""The section `source`: what its keys mean, and what is told of those that do not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from muster.errors import WorkloadError
from muster.workload.load import load_workload
from muster.workload.source import DEFAULT_FILES
from muster.workload.spec import Workload
from muster.workload.statement import EXAMPLE
from tests.ingest.formats.made import DECLARED


def declared(folder: Path, source: Any, **changes: Any) -> Workload:
    (folder / "made.py").write_text("def features(rows): ...\ndef deliver(landed): ...\n")
    file = folder / "made.yaml"
    file.write_text(yaml.safe_dump({**DECLARED, **({"source": source} if source else {}), **changes}))
    return load_workload(file)


def test_without_a_source_it_is_a_compressed_csv_a_day_in_the_landing_folder(tmp_path: Path) -> None:
    source = declared(tmp_path, None, landing="deliver").source
    assert (source.files, source.read_as, source.separator, source.many) == (DEFAULT_FILES, "csv", ",", False)
    assert declared(tmp_path, {"files": DEFAULT_FILES, "extra": "ignore"}, landing="deliver").source.extra == "ignore"


@pytest.mark.parametrize(
    ("files", "format", "held"),
    [
        ("/a/{date}.CSV", None, "csv"),
        ("{date}.tsv.zst", None, "tsv"),
        ("{date}/*.ndjson.gz", None, "jsonl"),
        ("date={date}/part-*.snappy.parquet", None, "parquet"),
        ("{date}.txt", "csv", "csv"),
    ],
)
def test_the_format_is_declared_or_in_the_name(tmp_path: Path, files: str, format: str | None, held: str) -> None:
    assert declared(tmp_path, {"files": files, **({"format": format} if format else {})}).source.read_as == held


@pytest.mark.parametrize("place", ["s3://raw", "abfss://raw@acme.dfs.core.windows.net/in", "gs://raw/in", "/raw"])
def test_files_and_tables_may_be_of_an_object_store(tmp_path: Path, place: str) -> None:
    assert declared(tmp_path, {"files": f"{place}/{{date}}.csv"}).source.files == f"{place}/{{date}}.csv"
    assert declared(tmp_path, {"table": f"{place}/rides"}).source.table == f"{place}/rides"


@pytest.mark.parametrize(
    ("source", "path", "expected"),
    [
        (
            {"files": "landing/all.csv"},
            "source.files",
            "does not say which file is of which day; write {date}",
        ),
        ({"table": "hdfs://lake/rides"}, "source.table", "'hdfs://' is not supported; use s3://, abfss://, gs:// or"),
        ({"table": "s3:///rides"}, "source.table", "names no bucket or container; write s3://BUCKET/FOLDER"),
        ({"table": "raw.rides"}, "source.table", "no name of a catalog's table: write catalog.schema.table"),
        ({"table": "/raw/a%20b"}, "source.table", "has a '%', which the path of a table may not have"),
        ({"table": "../rides"}, "source.table", "is no path; write it as it is"),
        ({"table": ""}, "source.table", "is empty; write some text"),
        ({"table": "/rides", "delimiter": ";"}, "source.delimiter", "is of files, and 'table' is written"),
        ({"table": "/rides", "files": "/{date}.csv"}, "source.files", "is of files, and 'table' is written"),
        ({"sql": EXAMPLE}, "source", "has 'sql' and no 'connection': write the name of its database"),
        ({"sql": "SELECT 1", "connection": "db"}, "source.sql", "has no ':start', so no day can be asked for"),
        ({"sql": EXAMPLE, "connection": "my-db"}, "source.connection", "is no name of a database: write letters"),
        ({"sql": EXAMPLE, "connection": "db", "table": "/rides"}, "source.table", "is another source, and 'sql' is"),
        ({"sql": EXAMPLE, "connection": "db", "complete": "x"}, "source.complete", "is of files, and 'sql' is written"),
        ({"files": "{date}.csv", "connection": "db"}, "source", "has 'connection', which is of 'sql', and no 'sql'"),
        ({"table": "/rides", "changed": "version"}, "source", "has 'changed', which is of 'sql', and no 'sql'"),
        ({"tabel": "/rides"}, "source.tabel", "is no key of this section; did you mean 'table'?"),
        ({"files": "s3a://raw/{date}.csv"}, "source.files", "'s3a://' is not supported; use s3://, abfss://, gs:// or"),
        ({"files": "gs://{date}/a.csv"}, "source.files", "names no bucket or container; write gs://BUCKET/FOLDER"),
        ({"files": "s3://raw//{date}.csv"}, "source.files", "has a part without a name"),
        (
            {"files": "dbfs:/raw/{date}.csv"},
            "source.files",
            "'dbfs://' is not supported; use s3://, abfss://, gs:// or a local path",
        ),
        ({"files": "{day}/{date}.csv"}, "source.files", "has '{day}', which stands for nothing; there is {date}"),
        ({"files": "{date}/**/a.csv"}, "source.files", "has more than '*' and '?'"),
        ({"files": "x/{date}/"}, "source.files", "is a folder; say which files of it"),
        ({"files": "../{date}.csv"}, "source.files", "has a part without a name, '.' or '..'"),
        ({"files": "~/{date}.csv"}, "source.files", "is no path; write it as it is"),
        (
            {"files": "{date}.dat"},
            "source.format",
            "'{date}.dat' does not say by its end what the files",
        ),
        (
            {"files": "{date}.csv", "format": "xml"},
            "source.format",
            "'xml' is none of 'csv', 'tsv', 'jsonl' or",
        ),
        (
            {"files": "{date}.csv", "delimiter": ";;"},
            "source.delimiter",
            "';;' is no delimiter: write one ASCII",
        ),
        ({"files": "{date}.csv", "delimiter": "a"}, "source.delimiter", "'a' is no delimiter"),
        ({"files": "{date}.csv", "delimiter": '"'}, "source.delimiter", "is no delimiter"),
        ({"files": "{date}.tsv", "delimiter": ","}, "source.delimiter", "is of 'format: csv', and these files are tsv"),
        (
            {"files": "{date}.csv", "encoding": "latin-0"},
            "source.encoding",
            "'latin-0' is no encoding of text",
        ),
        ({"files": "{date}.csv", "encoding": "base64"}, "source.encoding", "'base64' is no encoding of text"),
        ({"files": "{date}.parquet", "encoding": "cp1252"}, "source.encoding", "is of text, and parquet says itself"),
        ({"files": "{date}.parquet.gz"}, "source.files", "is parquet within gzip, which is not read"),
        ({"files": "{date}.csv", "complete": "_SUCCESS"}, "source.complete", "'_SUCCESS' would be that of all days"),
        ({"files": "*/{date}/a.csv", "complete": "_SUCCESS"}, "source.complete", "'*/{date}' stands for many"),
        ({"files": "{date}/a.csv", "complete": "x/*"}, "source.complete", "'x/*' is no name of a file"),
        ({"files": "{date}.csv", "extra": "drop"}, "source.extra", "'drop' is none of 'refuse' or 'ignore'"),
        ("landing/{date}.csv.gz", "source", "'landing/{date}.csv.gz' is no section"),
    ],
)
def test_what_does_not_hold_is_told_once_with_what_to_write(
    tmp_path: Path, source: Any, path: str, expected: str
) -> None:
    with pytest.raises(WorkloadError) as error:
        declared(tmp_path, source)
    ((where, problem),) = error.value.problems
    assert where == path
    assert expected in problem


@pytest.mark.parametrize("source", [{"files": "x/{date}.csv"}, {"delimiter": ";"}, {"encoding": "latin-1"}])
def test_a_landing_function_delivers_to_no_other_files(tmp_path: Path, source: dict[str, str]) -> None:
    with pytest.raises(WorkloadError) as error:
        declared(tmp_path, source, landing="deliver")
    ((where, problem),) = error.value.problems
    assert (where, problem[:52]) == ("landing", f"a function delivers '{DEFAULT_FILES}'"[:52])


def test_an_address_in_place_of_a_name_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError) as error:
        declared(tmp_path, {"sql": EXAMPLE, "connection": f"postgresql://ann:s3cret@{'db' * 99}"})
    assert "s3cret" not in str(error.value)
