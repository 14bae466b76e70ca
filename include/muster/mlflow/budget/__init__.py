"""One budget of MLflow calls for each server, shared by all processes of a host. Importing this imports no MLflow."""

from __future__ import annotations

from muster.mlflow.budget.errors import BudgetSpent, MlflowRefused, ResponseLost, ServerUnavailable, muster_errors
from muster.mlflow.budget.http_patch import count
from muster.mlflow.budget.max_wait import mark_spark_process, waiting_at_most
from muster.settings import Settings

__all__ = [
    "BudgetSpent",
    "MlflowRefused",
    "ResponseLost",
    "ServerUnavailable",
    "closure",
    "count",
    "mark_spark_process",
    "muster_errors",
    "waiting_at_most",
]


def closure(settings: Settings | None = None) -> BudgetSpent | None:
    """Return until when (`.until`) the settings' MLflow server wants no calls, and `.why`; None while it takes all."""
    from muster.mlflow.budget.budget import budget

    return budget(of=settings).closure()
