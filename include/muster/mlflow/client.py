"""MLflow's client, as every process of Muster uses it: under the budget, on the server of the settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from muster.mlflow.budget import http_patch
from muster.mlflow.sign_in import sign_in
from muster.settings import settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def connect() -> MlflowClient:
    """Return a client of the MLflow server of the settings, and make it the process's own. No call is sent."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # and saves a call
    os.environ.setdefault("MLFLOW_ENABLE_DB_SDK", "false")  # it would send its calls past the budget
    import mlflow

    http_patch.install()

    sign_in(settings())
    uri = settings().mlflow_tracking_uri
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient()
