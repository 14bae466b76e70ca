"""A catalog that speaks Unity Catalog's protocol as far as a reader of tables needs it, in this process.

It answers what Databricks' own SDK asks, as its documentation has it. What it cannot show: which rights a real catalog
asks for, how long its keys hold, managed tables that it lets nobody read by their files.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "dapi-never-to-be-read-anywhere"


@dataclass
class UnityCatalog:
    """The catalog: its tables, the keys that it gives, what it was asked."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    """Statuses that the next requests are answered with."""
    asked: list[str] = field(default_factory=list)
    host: str = ""

    def add(self, name: str, place: str, kind: str = "DELTA") -> None:
        """Make a table known."""
        self.tables[name] = {"data_source_format": kind, "storage_location": place, "table_id": f"id of {name}"}

    def answer(self, method: str, path: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and the body of an answer."""
        if path.startswith("/.well-known/"):
            return 404, {}
        self.asked.append(f"{method} {path}")
        if self.failures:
            return self.failures.pop(0), {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}
        if token != f"Bearer {TOKEN}":
            return 403, {"error_code": "PERMISSION_DENIED", "message": "no right to USE SCHEMA"}
        if method == "POST" and path.endswith("/temporary-table-credentials"):
            known = body["operation"] == "READ" and body["table_id"] in {
                one["table_id"] for one in self.tables.values()
            }
            return (200, self.keys) if known else (404, {"error_code": "TABLE_DOES_NOT_EXIST", "message": "no such"})
        table = self.tables.get(path.rpartition("/")[2])
        return (200, table) if table else (404, {"error_code": "TABLE_DOES_NOT_EXIST", "message": "no such table"})


@contextmanager
def running() -> Iterator[UnityCatalog]:
    """Run one on a free port of this machine."""
    catalog = UnityCatalog()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "")
            status, answer = catalog.answer(self.command, self.path, token, json.loads(body or b"{}"))
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        catalog.host = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield catalog
        server.shutdown()
        thread.join()
