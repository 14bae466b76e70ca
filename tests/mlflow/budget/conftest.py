"""A server that answers as it is told, and notes what it was sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from muster.settings import settings


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    cut: bool = False
    """Close the connection in the middle of the answer."""
    hold: float = 0
    """Seconds before the answer."""


@dataclass
class Request:
    at: float
    line: str
    body: bytes
    authorization: str | None


class Server:
    """Gives the answers one after another; then `{}` to all."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[Request] = []
        own = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                own.requests.append(Request(time.time(), self.requestline, body, self.headers.get("Authorization")))
                answer = own.answers.pop(0) if own.answers else Answer()
                time.sleep(answer.hold)
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body) + answer.cut), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = answer.cut

            do_GET = do_POST = do_PUT = do_PATCH = _answer

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that the settings name, with short pauses and a patience of three seconds."""
    server = Server()
    monkeypatch.setenv("MUSTER_MLFLOW_URI", server.uri)
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    monkeypatch.setenv("MUSTER_MLFLOW_WAITING", '{"patience": 3, "first_pause": 0.01, "longest_pause": 0.05}')
    settings.cache_clear()
    yield server
    settings.cache_clear()
    server.close()
