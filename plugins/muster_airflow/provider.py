"""What Airflow reads of Muster as a provider: the connection type `mlflow` and its form."""

from __future__ import annotations

from typing import Any

DEFAULTS = {"search": 7, "log_batch": 47, "registry": 40, "rest": 127}

TITLES = {
    "search": "Searches",
    "log_batch": "Batches of metrics",
    "registry": "Registered models, versions, aliases",
    "rest": "Everything else",
}


def provider_info() -> dict[str, Any]:
    """Return Muster as a provider; Airflow finds it by the entry point `apache_airflow_provider`."""
    return {
        "package-name": "muster",
        "name": "Muster",
        "description": "Per-group models at scale: trained on Spark, gated, governed in MLflow.",
        "connection-types": [
            {
                "connection-type": "mlflow",
                "hook-class-name": "muster_airflow.hooks.mlflow.MlflowHook",
                "hook-name": "MLflow",
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {"host": "Server", "schema": "Scheme", "password": "Password, or token"},
                    "placeholders": {
                        "host": "https://mlflow.example, or a name",
                        "schema": "http or https; not needed with a full address",
                        "port": "5000",
                        "login": "leave empty for a token",
                    },
                },
                "conn-fields": {
                    name: {
                        "label": f"{title}: calls a second",
                        "description": f"The most that all of Muster asks of the server. Left empty: {DEFAULTS[name]}.",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    }
                    for name, title in TITLES.items()
                },
            }
        ],
    }
