"""What Airflow reads of Muster as a provider: the connection types `mlflow` and `airflow_api`, and their forms."""

from __future__ import annotations

from typing import Any

from muster.settings.limits import CallClass, CallRates

OWN = CallRates()

TITLES: dict[CallClass, str] = {
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
                        "host": "https://mlflow.example",
                        "schema": "https or http, where Server is only a name",
                        "port": "such as 443; the Test button needs one",
                        "login": "leave empty for a token",
                    },
                },
                "conn-fields": {
                    "ui": {
                        "label": "Address for people",
                        "description": "Where links lead. Left empty: the server's own address.",
                        "schema": {"type": ["string", "null"]},
                    },
                }
                | {
                    name: {
                        "label": f"{title}: calls a second",
                        "description": f"The most that all of Muster asks of the server. Left empty: {OWN.of(name):g}.",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    }
                    for name, title in TITLES.items()
                },
            },
            {
                "connection-type": "airflow_api",
                "hook-class-name": "muster_airflow.hooks.airflow_api.AirflowApiHook",
                "hook-name": "Airflow's REST API",
                "ui-field-behaviour": {
                    "hidden-fields": ["extra"],
                    "relabeling": {"host": "Server", "schema": "Scheme", "password": "Password, or token"},
                    "placeholders": {
                        "host": "https://airflow.example",
                        "schema": "https or http, where Server is only a name",
                        "login": "leave empty for a token",
                    },
                },
            },
        ],
    }
