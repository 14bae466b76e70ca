"""The local Spark Connect server of a home whose store is on an object store, for all tests of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from muster.settings import Settings
from muster.settings.connections import variable
from muster_local import local
from tests import databases
from tests.object_store import ObjectStore
from tests.shared import Shared, settings_of

FLIGHTS = "of_flights"
"""The database that the server's workers know: made by the test that has them read it."""


@pytest.fixture(scope="package")
def s3_spark(shared: Shared, object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The local Spark Connect server of a home whose store is on S3."""
    settings = settings_of(tmp_path_factory.mktemp("s3"), object_store.root("store"))
    with pytest.MonkeyPatch.context() as patch:
        of_workers = {variable(FLIGHTS): databases.with_password(databases.address(shared).set(database=FLIGHTS))}
        for name, value in {**object_store.environment, **of_workers}.items():
            patch.setenv(name, value)
        local.start(settings, ["spark"])
    yield settings
    local.stop(settings)


@pytest.fixture
def spark(s3_spark: Settings, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkSession]:
    """A session on it, in a process whose own environment names the store."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    session = SparkSession.builder.remote(s3_spark.spark_remote).create()
    yield session
    session.stop()
