"""The running stack as the end-to-end tests see it: Airflow over REST, Delta tables as pandas, the expected weeks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mlflow
import pandas as pd
import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient

from muster_local import PROJECT
from tests.conftest import RunningStack
from tests.e2e import expected
from tests.e2e.expected import Week
from tests.e2e.rest import WORKLOAD, Airflow

Read = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def year() -> expected.Flights:
    """The workload's declaration and its flights, read from the raw files."""
    return expected.read(PROJECT / "include" / "workloads" / f"{WORKLOAD}.yaml")


@pytest.fixture(scope="session")
def weeks(year: expected.Flights) -> tuple[Week, Week]:
    """The two weeks that `up` runs, computed independently."""
    first, second = (str(day) for day in year.declared["schedule"]["demo"])
    return Week(year, first), Week(year, second)


@pytest.fixture(params=[0, 1], ids=["first week", "second week"])
def week(request: pytest.FixtureRequest, weeks: tuple[Week, Week]) -> Week:
    """Each of the two weeks."""
    return weeks[request.param]


@pytest.fixture(scope="session")
def airflow(running_stack: RunningStack) -> Airflow:
    """The real Airflow."""
    return Airflow(running_stack.settings.airflow_url)


@pytest.fixture(scope="session")
def open_table(running_stack: RunningStack) -> Callable[[str], DeltaTable]:
    """Open a Delta table of the workload by name."""
    return lambda name: DeltaTable(running_stack.home / "store" / "tables" / WORKLOAD / name)


@pytest.fixture(scope="session")
def read(open_table: Callable[[str], DeltaTable]) -> Read:
    """Read a table's rows of a partition, or of all."""

    def rows(name: str, partition: str | None = None, columns: list[str] | None = None) -> pd.DataFrame:
        filters = [("partition", "=", partition)] if partition else None
        frame: pd.DataFrame = open_table(name).to_pyarrow_table(filters=filters, columns=columns).to_pandas()
        return frame

    return rows


@pytest.fixture(scope="session")
def registry(running_stack: RunningStack) -> Iterator[MlflowClient]:
    """The real MLflow, for this process too."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(running_stack.settings.mlflow_tracking_uri)
    mlflow.set_registry_uri(running_stack.settings.mlflow_tracking_uri)
    yield MlflowClient()
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])
