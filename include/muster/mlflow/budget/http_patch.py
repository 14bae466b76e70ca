"""Where MLflow's client meets the budget: every request of it, and every time it is sent again, goes through here.

MLflow sends all REST calls and artifacts by one function, which this module takes the place of; its own retries are
left out. Presigned transfers to a cloud's object store are none of the server's and are left alone. Only a process
that works for Muster gets it, by `client.connect`: other programs of the same environment are none of ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from muster.mlflow.budget.max_wait import at_most

_SEND_FUNCTION = "_get_http_response_with_retries"
"""The function of `mlflow.utils.rest_utils` by which every call of MLflow's API is sent."""
_lock = threading.Lock()
_calls = 0
_installed = False


def count() -> int:
    """Return how many requests this process has sent to MLflow so far; one that was sent again counts again."""
    return _calls


def _count_request() -> None:
    global _calls
    with _lock:
        _calls += 1


def install() -> None:
    """Put the budget between MLflow's client and its HTTP layer, once a process.

    Raises:
        ImportError: when this MLflow sends its requests by another way than the one known.
    """
    global _installed
    with _lock:
        if _installed:
            return
        from mlflow.utils import rest_utils

        original = getattr(rest_utils, _SEND_FUNCTION, None)
        if original is None:
            import mlflow

            raise ImportError(f"MLflow {mlflow.__version__} does not send its requests by a way that Muster knows")
        setattr(rest_utils, _SEND_FUNCTION, _budgeted(original))
        _installed = True


def _budgeted(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return MLflow's way to send a request with the budget and our retries in place of its own."""

    def send(
        method: str,
        url: str,
        max_retries: int,
        backoff_factor: int,
        backoff_jitter: float,
        retry_codes: object,
        raise_on_status: bool = True,
        allow_redirects: bool | None = None,
        respect_retry_after_header: bool = True,
        **request: Any,
    ) -> Any:
        from muster.mlflow.budget.request import Request

        def send_once(**more: Any) -> Any:
            _count_request()
            return original(method, url, 0, 0, 0.0, (), False, allow_redirects, False, **request, **more)

        if request.get("timeout"):
            request["timeout"] = at_most(request["timeout"])

        return Request(method, url, request.get("data"), send_once).response()

    return send
