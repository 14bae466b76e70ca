"""A store, or a source on one, that is not there, or may not be asked: one line that says what to do."""

from __future__ import annotations

import gzip
import io
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests
from obstore.exceptions import GenericError
from obstore.store import S3Store
from pyarrow import csv

from muster.context import Context
from muster.ingest.row_checks import check_arrival
from muster.ingest.sources.kinds import source_of
from muster.ingest.sources.table import BadTable
from muster.storage.object_store import NotAvailable
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster_jobs.failures import known_failure
from tests.ingest.formats.made import DAY, DECLARED, checked
from tests.object_store import BUCKET, ObjectStore

pytestmark = pytest.mark.slow
WRONG = [
    ({}, "there is no such bucket; create it, or write its name right", True),
    ({"AWS_ALLOW_HTTP": "false"}, "set AWS_ALLOW_HTTP=true", True),
    ({"AWS_ALLOW_HTTP": "maybe"}, "has a value that is none of it", True),
    ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "Connection refused", False),
]
CSV = b"place,line,at,warm,open,built,note\nBern,8,2024-01-15T12:00:00,,,,\n"


@pytest.fixture
def asked(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The store, known to this process."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    return object_store


def made(folder: Path, root: str, **source: str) -> Context:
    workload = Workload.model_validate({**DECLARED, "source": source})
    return Context(workload, folder, Store(root, "made"))


@pytest.mark.parametrize(("environment", "cure", "lasts"), WRONG)
def test_a_table_is_not_given(
    asked: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    cure: str,
    lasts: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NotAvailable, match=rf"does not give 's3://nowhere/.*{cure}") as error:
        Store("s3://nowhere/x", "made").open("models")
    with pytest.raises(BadTable, match=rf"'s3://nowhere/rides' cannot be read: .*{cure}") as of_source:
        source_of(made(tmp_path, str(tmp_path), table="s3://nowhere/rides")).arrived({DAY})
    for raised in (error.value, of_source.value):
        assert "\n" not in str(raised)
        assert getattr(known_failure(raised), "retryable", None) is not lasts


def put(store: ObjectStore, key: str, data: bytes = CSV) -> None:
    requests.put(f"{store.url}/{BUCKET}/{key}", data=data, timeout=30).raise_for_status()


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["x-1.csv", "x%252D1.csv"], ["x%2D1.csv", "x-1.csv"]),  # as a URI the second would be the first
        (["part.csv", "part%232.csv", "what%3F.csv"], ["part#2.csv", "part.csv", "what?.csv"]),
        (
            ["hour%3D10%253A00/my%20file.csv", "hour%3D11/Z%C3%BCrich.csv"],
            ["hour=10%3A00/my file.csv", "hour=11/Zürich.csv"],
        ),
    ],
)
def test_each_object_is_read_by_the_very_name_that_it_has(
    asked: ObjectStore, tmp_path: Path, keys: list[str], names: list[str]
) -> None:
    folder = f"names-{abs(hash(tuple(keys)))}"
    for number, key in enumerate(keys):
        put(asked, f"{folder}/{DAY}/{key}", CSV.replace(b"Bern,8", f"Bern,{number}".encode()))
    below = "*/*.csv" if "/" in names[0] else "*.csv"
    context = made(tmp_path, str(tmp_path), files=f"s3://{BUCKET}/{folder}/{{date}}/{below}")
    arrival = source_of(context).arrived({DAY})[DAY]
    assert [part.name.removeprefix(f"{DAY}/") for part in arrival.parts] == names
    good, refused = checked(context)
    assert (sorted(row["line"] for row in good), refused) == (list(range(len(keys))), [])


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_store_that_fails_as_a_file_is_read_says_nothing_of_the_file(
    asked: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    data = gzip.compress(CSV) if ending == "csv.gz" else CSV
    if ending == "parquet":
        buffer = io.BytesIO()
        pq.write_table(csv.read_csv(io.BytesIO(CSV)), buffer)
        data = buffer.getvalue()
    put(asked, f"failing/{DAY}.{ending}", data)
    context = made(tmp_path, str(tmp_path), files=f"s3://{BUCKET}/failing/{{date}}.{ending}")
    arrival = source_of(context).arrived({DAY})[DAY]
    assert check_arrival(context, arrival).num_rows == 1

    class Fails(S3Store):
        def get(self, *_: Any, **__: Any) -> Any:
            raise GenericError("503 Slow Down")

    monkeypatch.setattr("muster.storage.remote_file.object_store", Fails.from_url)
    with pytest.raises(
        NotAvailable, match=f"does not give 's3://{BUCKET}/failing/{DAY}.{ending}': .*Slow Down"
    ) as error:
        check_arrival(context, arrival)
    assert getattr(known_failure(error.value), "retryable", False)


def test_the_mark_of_a_folder_is_no_file(asked: ObjectStore, tmp_path: Path) -> None:
    for key in (f"marks/{DAY}/", f"marks/{DAY}/_SUCCESS", "marks/"):
        put(asked, key, b"")
    source = source_of(made(tmp_path, str(tmp_path), files=f"s3://{BUCKET}/marks/{{date}}/*.csv", complete="_SUCCESS"))
    arrivals: Any = source.arrived({DAY, date(2024, 1, 16)})
    assert {day: (arrival.parts, arrival.lacks) for day, arrival in arrivals.items()} == {DAY: ((), None)}
    assert source.passed_over().names == ()
