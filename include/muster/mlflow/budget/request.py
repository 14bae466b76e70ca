"""One request of MLflow's client: sent under the budget, and again where that does no harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from requests import exceptions
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_random_exponential
from urllib3.exceptions import NewConnectionError

from muster.mlflow.budget.budget import Budget, Permit, RemainingWait, address, budget
from muster.mlflow.budget.calls import call_of
from muster.mlflow.budget.errors import ResponseLost, ServerUnavailable
from muster.mlflow.budget.max_wait import max_wait

THROTTLED = 429
SERVER_ERRORS = frozenset({408, 500, 502, 503, 504})
"""Statuses of a server that failed; whether it carried the request out, they do not say."""
MIN_ATTEMPTS = 3
"""How often a call is sent even where its own time-out is longer than the process waits."""


class _Retryable(Exception):
    """Raised for a request to send again: why, and whether the server may have received it."""

    def __init__(self, problem: str, delivered: bool) -> None:
        super().__init__(problem)
        self.delivered = delivered


class Request:
    """A request that is sent until it gets a response, as long as that is safe and the process waits."""

    def __init__(self, method: str, url: str, body: Any, send: Callable[..., requests.Response]) -> None:
        self._method, self._url, self._body, self._send = method, url, body, send
        self._call = call_of(method, urlsplit(url).path)
        self._budget: Budget = budget(url)
        self._start = body.tell() if hasattr(body, "seek") else None
        self._attempts = 0

    def response(self) -> requests.Response:
        """Return the server's response, whose status is neither 429 nor one of SERVER_ERRORS.

        Raises:
            BudgetSpent: when it would take longer than the process waits until it may be sent.
            ResponseLost: when it may have been carried out, and sending it again would create a second thing.
            ServerUnavailable: when the server went on failing.
        """
        waiting = self._budget.waiting
        seconds = max_wait(waiting)
        self._remaining = RemainingWait(seconds)
        attempts = Retrying(
            retry=retry_if_exception_type(_Retryable),
            stop=lambda state: stop_after_delay(seconds)(state) and stop_after_attempt(MIN_ATTEMPTS)(state),
            wait=wait_random_exponential(multiplier=waiting.first_pause, max=waiting.longest_pause),
            reraise=True,
        )
        try:
            return attempts(self._send_until_accepted)
        except _Retryable as error:
            raise ServerUnavailable(self._method, _without_secrets(self._url), self._attempts, str(error)) from error

    def _send_until_accepted(self) -> requests.Response:
        """Send until the server does not throttle: a throttled call was not carried out, so it is always sent again."""
        while True:
            with self._budget.acquire(self._call.call_class, self._remaining) as permit:
                response = self._send_once(permit)
            if response.status_code != THROTTLED:
                return self._check_status(response, permit)
            self._budget.record_throttling(permit, response.headers)
            response.close()

    def _send_once(self, permit: Permit) -> requests.Response:
        self._attempts += 1
        if self._start is not None:
            self._body.seek(self._start)
        try:
            return self._send(hooks={"response": self._permit_redirect})
        except (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError) as error:
            raise self._failed(_describe(error), _may_have_arrived(error)) from error

    def _permit_redirect(self, response: requests.Response, **_: Any) -> None:
        """Acquire another permit where the response is a redirect: requests follows it with another call."""
        if response.is_redirect:
            with self._budget.acquire(self._call.call_class, self._remaining):
                pass

    def _check_status(self, response: requests.Response, permit: Permit) -> requests.Response:
        if response.status_code not in SERVER_ERRORS:
            self._budget.record_success(permit)
            return response
        self._budget.record_unavailability(response.headers)
        problem = f"answered {response.status_code}{_server_message(response)}"
        response.close()
        raise self._failed(problem, delivered=True)

    def _failed(self, problem: str, delivered: bool) -> Exception:
        """Return the error after a failure: to send again, or to look first."""
        if delivered and not self._call.repeatable:
            return ResponseLost(self._method, _without_secrets(self._url), problem)
        return _Retryable(problem, delivered)


def _without_secrets(url: str) -> str:
    """Return a URL without what may be secret: names, passwords, parameters."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{address(url)}{parts.path}"


def _describe(error: Exception) -> str:
    return "no answer within the time-out" if isinstance(error, exceptions.Timeout) else f"no answer: {error}"


def _may_have_arrived(error: Exception) -> bool:
    """Return whether the server may have received the request: not where no connection was made."""
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(error, exceptions.ConnectTimeout) and not isinstance(cause, NewConnectionError)


def _server_message(response: requests.Response) -> str:
    """Return the message of a failing server, cut short."""
    try:
        message = str(json.loads(response.content)["message"])
    except (ValueError, KeyError, TypeError, exceptions.RequestException):
        return ""
    return f" ({message[:200]})"
