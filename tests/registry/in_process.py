"""Requests of this process to a server that runs in it: answered here and now, without a socket or another thread.

Over a socket a call of the fake MLflow takes two to three times the processor time: two HTTP libraries, two threads
that wait for each other.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from werkzeug.test import run_wsgi_app


@contextmanager
def answered_here(uri: str, app: Callable[..., Any]) -> Iterator[None]:
    """Let `app` answer what this process's `requests` send to `uri`; other processes go by the socket."""
    adapter, others = _Here(app), requests.Session.get_adapter

    def get_adapter(session: requests.Session, url: str) -> Any:
        return adapter if url.startswith(f"{uri}/") else others(session, url)

    with mock.patch.object(requests.Session, "get_adapter", get_adapter):
        yield


class _Here(HTTPAdapter):
    """Calls a WSGI application in the place of a server."""

    def __init__(self, app: Callable[..., Any]) -> None:
        super().__init__()
        self._app = app

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        chunks, status, headers = run_wsgi_app(self._app, _environ(request), buffered=True)
        code, _, reason = status.partition(" ")
        answer = urllib3.HTTPResponse(
            io.BytesIO(b"".join(chunks)), list(headers), int(code), reason=reason, preload_content=False
        )
        return self.build_response(request, answer)


def _environ(request: requests.PreparedRequest) -> Mapping[str, Any]:
    """Return a request as WSGI has it."""
    parts, body = urlsplit(str(request.url)), request.body or b""
    content = body.read() if hasattr(body, "read") else body.encode() if isinstance(body, str) else b"".join(_in(body))
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
    return {
        **named,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path, "latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _in(body: Any) -> Any:
    return [body] if isinstance(body, bytes) else body
