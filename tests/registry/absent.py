"""What the fake does not have is refused: a test must not pass because nothing was done."""

from __future__ import annotations

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import NOT_IMPLEMENTED


class RefusesTheRest:
    """A store whose other methods fail, with a code that no client tries again."""

    def __getattr__(self, name: str) -> Any:
        raise MlflowException(f"the fake MLflow has no '{name}': add it, and a test of it for both", NOT_IMPLEMENTED)
