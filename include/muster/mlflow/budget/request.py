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

from muster.mlflow.budget.budget import Budget, Patience, Taken, address, budget
from muster.mlflow.budget.calls import call_of
from muster.mlflow.budget.errors import AnswerLost, Unanswered
from muster.mlflow.budget.patience import patience

THROTTLED = 429
UNWELL = frozenset({408, 500, 502, 503, 504})
"""Statuses by which a server says that it could not; whether it did what was asked, they do not say."""
LEAST_TRIES = 3
"""A call whose time-out is longer than the patience is still sent so often."""


class _NoAnswer(Exception):
    """Raised for a request to send again: what came of it, and whether the server can have had it."""

    def __init__(self, how: str, delivered: bool) -> None:
        super().__init__(how)
        self.delivered = delivered


class Request:
    """A request that is sent until it is answered, as far as that is safe and one's patience goes."""

    def __init__(self, method: str, url: str, body: Any, send: Callable[..., requests.Response]) -> None:
        self._method, self._url, self._body, self._send = method, url, body, send
        self._call = call_of(method, urlsplit(url).path)
        self._budget: Budget = budget(url)
        self._start = body.tell() if hasattr(body, "seek") else None
        self._tries = 0

    def answer(self) -> requests.Response:
        """Return the server's answer, which is neither a throttling nor a failure of the server's.

        Raises:
            BudgetSpent: when it would take longer than the process's patience until it may be sent.
            AnswerLost: when it may have been carried out, and doing so twice would make a second thing.
            Unanswered: when the server went on failing.
        """
        waiting = self._budget.waiting
        seconds = patience(waiting)
        self._patience = Patience(seconds)
        attempts = Retrying(
            retry=retry_if_exception_type(_NoAnswer),
            stop=lambda state: stop_after_delay(seconds)(state) and stop_after_attempt(LEAST_TRIES)(state),
            wait=wait_random_exponential(multiplier=waiting.first_pause, max=waiting.longest_pause),
            reraise=True,
        )
        try:
            return attempts(self._until_let_through)
        except _NoAnswer as error:
            raise Unanswered(self._method, _bare(self._url), self._tries, str(error)) from error

    def _until_let_through(self) -> requests.Response:
        """Send until the server does not throttle: a throttled call was not carried out, so it is always sent again."""
        while True:
            with self._budget.take(self._call.call_class, self._patience) as taken:
                response = self._sent(taken)
            if response.status_code != THROTTLED:
                return self._judged(response, taken)
            self._budget.throttled(taken, response.headers)
            response.close()

    def _sent(self, taken: Taken) -> requests.Response:
        self._tries += 1
        if self._start is not None:
            self._body.seek(self._start)
        try:
            return self._send(hooks={"response": self._redirected})
        except (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError) as error:
            raise self._failed(_how(error), _delivered(error)) from error

    def _redirected(self, response: requests.Response, **_: Any) -> None:
        """Take another call where the answer is to ask elsewhere: requests then does."""
        if response.is_redirect:
            with self._budget.take(self._call.call_class, self._patience):
                pass

    def _judged(self, response: requests.Response, taken: Taken) -> requests.Response:
        if response.status_code not in UNWELL:
            self._budget.let_through(taken)
            return response
        self._budget.unavailable(response.headers)
        how = f"answered {response.status_code}{_said(response)}"
        response.close()
        raise self._failed(how, delivered=True)

    def _failed(self, how: str, delivered: bool) -> Exception:
        """Return the error after a failure: one to send again for, or one to look first."""
        if delivered and not self._call.repeatable:
            return AnswerLost(self._method, _bare(self._url), how)
        return _NoAnswer(how, delivered)


def _bare(url: str) -> str:
    """Return a URL without what may be secret: names, passwords, parameters."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{address(url)}{parts.path}"


def _how(error: Exception) -> str:
    return "no answer within the time-out" if isinstance(error, exceptions.Timeout) else f"no answer: {error}"


def _delivered(error: Exception) -> bool:
    """Tell whether the server can have got the request: not where no connection came about."""
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(error, exceptions.ConnectTimeout) and not isinstance(cause, NewConnectionError)


def _said(response: requests.Response) -> str:
    """Return what a failing server says, cut short."""
    try:
        said = str(json.loads(response.content)["message"])
    except (ValueError, KeyError, TypeError, exceptions.RequestException):
        return ""
    return f" ({said[:200]})"
