"""With which code a server refuses: the product tells what happened by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

MISSING, EXISTS, INVALID = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE"


def code(call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """Return the error code with which a call is refused."""
    with pytest.raises(MlflowException) as refused:
        call(*arguments, **named)
    return str(refused.value.error_code)
