"""The made line of the promotion's tests: what train and evaluate leave behind."""

from __future__ import annotations

import pytest

from tests.promotion.conftest import Line, line, served

__all__ = ["Line", "line", "served"]


@pytest.fixture
def registry_server(mlflow_server: str) -> str:
    """The real MLflow server: how it hands out a model, and how MLflow serves it, is what is tested."""
    return mlflow_server
