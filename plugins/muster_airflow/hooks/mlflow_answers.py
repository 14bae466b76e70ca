"""Ask a server whether it is an MLflow that lets us in."""

from __future__ import annotations

from collections.abc import Callable

import requests
from requests.auth import HTTPBasicAuth

SignIn = Callable[[requests.PreparedRequest], requests.PreparedRequest]

TIMEOUT = 10
"""Seconds for each of the two questions."""


class Unfit(Exception):
    """Raised when what answers at an address, or does not, is of no use; the message says what to do."""


def ask(uri: str, login: str | None, password: str | None) -> str:
    """Return which MLflow answers at `uri` and as whom it knows us: its version, then what only those let in may ask.

    Raises:
        Unfit: with what is wrong, in plain words.
    """
    signed = _sign_in(login, password)
    version = _answer(f"{uri}/version", signed)  # asks for credentials too, where the server has sign-on
    if version.status_code in (401, 403):
        raise Unfit(_no_entry(uri, version, login, password))
    if version.status_code != 200 or not version.text[:1].isdigit():
        raise Unfit(f"no MLflow at {uri}: {_described(version)}; check host, port and path")
    experiments = _answer(f"{uri}/api/2.0/mlflow/experiments/search?max_results=1", signed)
    if experiments.status_code in (401, 403):
        raise Unfit(_no_entry(uri, experiments, login, password))
    if experiments.status_code != 200:
        raise Unfit(f"MLflow {version.text} at {uri} is not well: {_described(experiments)}")
    known = f"as '{login}'" if login else "with a token" if password else "without signing in"
    return f"MLflow {version.text} at {uri} lets us in {known}"


def _sign_in(login: str | None, password: str | None) -> SignIn:
    if login:
        return HTTPBasicAuth(login.encode(), (password or "").encode())

    def bearer(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {password}"
        return request

    return bearer if password else _as_nobody


def _as_nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is: without it requests would sign in with what a .netrc says of the host."""
    return request


def _answer(address: str, auth: SignIn) -> requests.Response:
    """Return the answer to a GET, not following redirects: a sign-in page is no MLflow."""
    try:
        answer = requests.get(address, auth=auth, timeout=TIMEOUT, allow_redirects=False)
    except requests.exceptions.SSLError:
        raise Unfit(f"{address} has a certificate that is not trusted here, or speaks no TLS: http?") from None
    except requests.Timeout:
        raise Unfit(f"{address} did not answer within {TIMEOUT} s: a firewall, or a wrong port?") from None
    except requests.RequestException as error:
        why = f"{address} cannot be reached ({type(error).__name__}): does the server run, is the port right?"
        raise Unfit(why) from None
    if answer.status_code in (429, 503):
        after = answer.headers.get("Retry-After")
        raise Unfit(f"{address} is throttled ({answer.status_code}): try again {f'in {after} s' if after else 'later'}")
    return answer


def _no_entry(uri: str, answer: requests.Response, login: str | None, password: str | None) -> str:
    if answer.status_code == 401:
        why = "wants credentials: fill in Login and Password, or a token as Password"
        return f"{uri} {'does not accept these credentials (401)' if login or password else why + ' (401)'}"
    rule = "the account lacks a permission, or the server does not answer to this host name (--allowed-hosts)"
    return f"{uri} forbids it (403): {rule}"


def _described(answer: requests.Response) -> str:
    moved = f" to {answer.headers['Location'].split('?')[0]}" if "Location" in answer.headers else ""
    server = f" from {answer.headers['Server']}" if "Server" in answer.headers else ""
    return f"it answered {answer.status_code}{moved}{server}"
