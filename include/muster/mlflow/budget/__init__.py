"""One budget of MLflow calls for each server, shared by all processes of a host. Importing this imports no MLflow."""

from __future__ import annotations

from muster.mlflow.budget.errors import AnswerLost, BudgetSpent, Unanswered, muster_errors
from muster.mlflow.budget.http_patch import count
from muster.mlflow.budget.patience import hold_spark
from muster.settings import Settings

__all__ = [
    "AnswerLost",
    "BudgetSpent",
    "Unanswered",
    "closed_until",
    "count",
    "hold_spark",
    "muster_errors",
]


def closed_until(settings: Settings | None = None) -> BudgetSpent | None:
    """Return until when (`.until`) the settings' MLflow server wants no calls, and `.why`; None while it takes all."""
    from muster.mlflow.budget.budget import budget

    return budget(given=settings).closed_until()
