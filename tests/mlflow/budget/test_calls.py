"""The table of calls against the requests that MLflow's client makes."""

from __future__ import annotations

import pytest

from muster.mlflow.budget.calls import call_of

API = "/api/2.0/mlflow"


@pytest.mark.parametrize(
    ("method", "path", "call_class", "repeatable"),
    [
        ("POST", f"{API}/runs/search", "search", True),
        ("POST", f"{API}/logged-models/search", "search", True),
        ("GET", f"{API}/registered-models/search", "search", True),
        ("GET", f"{API}/model-versions/search", "search", True),
        ("POST", "/base/path/api/2.0/mlflow/experiments/search", "search", True),
        ("POST", f"{API}/runs/log-batch", "log_batch", True),
        ("GET", f"{API}/registered-models/alias", "registry", True),
        ("POST", f"{API}/registered-models/alias", "registry", True),
        ("DELETE", f"{API}/registered-models/alias", "registry", True),
        ("POST", f"{API}/registered-models/create", "registry", True),
        ("POST", f"{API}/model-versions/create", "registry", False),
        ("GET", f"{API}/model-versions/get", "registry", True),
        ("POST", f"{API}/model-versions/set-tag", "registry", True),
        ("DELETE", f"{API}/model-versions/delete", "registry", True),
        ("POST", f"{API}/unity-catalog/model-versions/create", "registry", False),
        ("POST", f"{API}/runs/create", "rest", False),
        ("GET", f"{API}/runs/get", "rest", True),
        ("POST", f"{API}/runs/update", "rest", True),
        ("POST", f"{API}/experiments/create", "rest", True),
        ("POST", f"{API}/logged-models", "rest", False),
        ("PATCH", f"{API}/logged-models/m-1", "rest", True),
        ("PATCH", f"{API}/logged-models/m-1/tags", "rest", True),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/search", "rest", True),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/registered-models/x", "rest", True),
        ("GET", "/health", "rest", True),
        ("POST", f"{API}/something/new", "rest", False),
    ],
)
def test_a_call_has_a_class_and_may_be_sent_twice_or_not(
    method: str, path: str, call_class: str, repeatable: bool
) -> None:
    assert (call_of(method, path).call_class, call_of(method, path).repeatable) == (call_class, repeatable)
