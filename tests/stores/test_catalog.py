"""A Delta table by its name in a Unity Catalog: located, read with the keys that the catalog gives, or told why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.context import Context
from muster.ingest.sources import catalog as module
from muster.ingest.sources.catalog import CatalogLost, CatalogRefused, located
from muster.ingest.sources.kinds import source_of
from muster.storage.store import Store
from muster.trial.group_observations import NothingLanded, observe
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from muster_jobs.failures import known_failure
from tests.ingest.formats.made import DAY, DECLARED, checked
from tests.object_store import BUCKET, SECRET, ObjectStore
from tests.unity_catalog import TOKEN, UnityCatalog, running

pytestmark = pytest.mark.slow
NAME = "main.raw.rides"
KEYS = {"access_key_id": "vended-key", "secret_access_key": "vended-secret", "session_token": "vended-token"}


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> Iterator[UnityCatalog]:
    """A catalog that this process knows, and nothing else of Databricks."""
    for known in (module._asked, module._client):
        known.cache_clear()
    with running() as made:
        monkeypatch.setenv("DATABRICKS_HOST", made.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nowhere")
        yield made
    for known in (module._asked, module._client):
        known.cache_clear()


def of_catalog(folder: Path, name: str = NAME) -> Context:
    workload = Workload.model_validate({**DECLARED, "source": {"table": name}})
    return Context(workload, folder, Store(str(folder), "made"))


def rows() -> pa.Table:
    at = (
        pa.array([f"{DAY}T12:00:00", f"{DAY}T23:00:00"], pa.string())
        .cast(pa.timestamp("us"))
        .cast(pa.timestamp("us", "UTC"))
    )
    columns = {"place": ["Bern", "Genf"], "line": [1, 2], "at": at, "warm": [1.5, None], "open": [True, None]}
    return pa.table({**columns, "built": pa.nulls(2, pa.date32()), "note": pa.nulls(2, pa.string())})


def test_a_table_is_read_with_the_keys_that_the_catalog_gives(
    catalog: UnityCatalog, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    place = f"s3://{BUCKET}/of-catalog/rides"
    write_deltalake(place, rows())
    catalog.add(NAME, place)
    catalog.keys = {"aws_temp_credentials": KEYS, "expiration_time": 4102444800000}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # the catalog's own are all that there are
        monkeypatch.delenv(name)
    context = of_catalog(tmp_path)
    arrival = source_of(context).arrived({DAY, DAY + timedelta(days=1)})[DAY]
    assert arrival.parts[0].name == f"{NAME}, version 0"
    good, refused = checked(context)
    assert ([row["place"] for row in good], refused) == (["Bern", "Genf"], [])
    assert observe(context, "Bern,1", DateRange(DAY, DAY + timedelta(days=1))).rows.num_rows == 1
    asked = [f"GET {module.TABLES}/tables/{NAME}", f"POST {module.TABLES}/temporary-table-credentials"]
    assert catalog.asked == asked  # once a process, not once a look
    assert not {SECRET, "vended-secret"} & set(str(located(NAME)).split("'"))


def test_a_table_of_this_machine_needs_no_keys(catalog: UnityCatalog, tmp_path: Path) -> None:
    write_deltalake(tmp_path / "rides", rows())
    catalog.add(NAME, f"file://{tmp_path}/rides")
    assert len(checked(of_catalog(tmp_path))[0]) == 2


def test_a_table_that_the_catalog_does_not_have_has_no_days(catalog: UnityCatalog, tmp_path: Path) -> None:
    context = of_catalog(tmp_path)
    assert source_of(context).days() == set()
    with pytest.raises(NothingLanded, match=f"nothing landed in '{NAME}'.*; there is no table of that name"):
        observe(context, "Bern,1", DateRange(DAY, DAY + timedelta(days=1)))
    write_deltalake(tmp_path / "rides", rows())
    catalog.add(NAME, f"file://{tmp_path}/rides")
    assert source_of(context).days() == {DAY}  # at the next look, as nobody keeps that there was none


@pytest.mark.parametrize("failures", [[429], [503, 503]])
def test_a_catalog_that_is_busy_is_asked_again(catalog: UnityCatalog, tmp_path: Path, failures: list[int]) -> None:
    write_deltalake(tmp_path / "rides", rows())
    catalog.add(NAME, f"file://{tmp_path}/rides")
    catalog.failures = list(failures)
    assert source_of(of_catalog(tmp_path)).days() == {DAY}
    assert catalog.failures == []


def test_what_the_catalog_refuses_is_told_without_any_secret(
    catalog: UnityCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.add(NAME, "s3://lake/x", kind="PARQUET")
    catalog.add("main.raw.keyless", "gs://lake/x")
    for name, problem in (
        (NAME, "it is of the format PARQUET"),
        ("main.raw.keyless", "gives no keys to 'gs://lake/x'"),
    ):
        with pytest.raises(CatalogRefused, match=problem):
            source_of(of_catalog(tmp_path, name)).days()
    module._client.cache_clear()
    monkeypatch.setenv("DATABRICKS_TOKEN", "wr0ng")
    with pytest.raises(CatalogRefused, match="PermissionDenied: no right to USE SCHEMA") as denied:
        source_of(of_catalog(tmp_path, "main.raw.other")).days()
    module._client.cache_clear()
    monkeypatch.delenv("DATABRICKS_TOKEN")
    with pytest.raises(CatalogRefused, match="set DATABRICKS_HOST and DATABRICKS_TOKEN, or") as unknown:
        source_of(of_catalog(tmp_path, "main.raw.other")).days()
    for error in (denied, unknown):
        assert not getattr(known_failure(error.value), "retryable", True)
        assert "wr0ng" not in str(error.value)


@pytest.mark.parametrize("status", [500, 502])
def test_a_catalog_that_breaks_is_worth_another_try(catalog: UnityCatalog, tmp_path: Path, status: int) -> None:
    catalog.failures = [status] * 9
    with pytest.raises(CatalogLost) as error:
        source_of(of_catalog(tmp_path)).days()
    assert getattr(known_failure(error.value), "retryable", False)


def test_a_catalog_that_does_not_answer_is_worth_another_try(
    catalog: UnityCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 1)
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:1")
    with pytest.raises(CatalogLost, match="it does not answer") as error:
        source_of(of_catalog(tmp_path)).days()
    assert getattr(known_failure(error.value), "retryable", False)
