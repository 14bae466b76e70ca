"""Count the requests that this process sends to MLflow; MLflow finds the counter by its entry point."""

from __future__ import annotations

import threading

_lock = threading.Lock()
_calls = 0


class CallCounter:
    """A request header provider (`mlflow.request_header_provider`) that adds no header and counts.

    MLflow asks each provider for its headers once for every request of its client: REST calls and the PUT and GET of
    artifacts alike. Not seen: a request that its HTTP layer repeats by itself after 429 or 5xx, and parts uploaded
    straight to a cloud's object store. It needs nothing of MLflow: importing the library does not import MLflow.
    """

    def in_context(self) -> bool:
        """Tell MLflow to ask for headers."""
        return True

    def request_headers(self) -> dict[str, str]:
        """Count one request; return no header."""
        global _calls
        with _lock:
            _calls += 1
        return {}


def count() -> int:
    """Return how many requests this process has sent to MLflow so far."""
    return _calls
