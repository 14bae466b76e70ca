"""An MLflow client, and names of a test's own: the server is shared."""

from __future__ import annotations

import uuid

import pytest
from mlflow import MlflowClient

from muster.mlflow.client import connect


@pytest.fixture
def client(registry_settings: str) -> MlflowClient:
    """The client that Muster uses, under its budget."""
    return connect()


@pytest.fixture
def name() -> str:
    return f"made_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def experiment(client: MlflowClient, name: str) -> str:
    """The id of an experiment of the test's own."""
    return str(client.create_experiment(name))


@pytest.fixture
def model(client: MlflowClient, name: str) -> str:
    """The name of a registered model of the test's own."""
    client.create_registered_model(name)
    return name
