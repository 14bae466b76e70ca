"""A store that speaks S3's protocol, moto, as a process; below some prefixes it fails as real stores may.

Any key is right. What it shows of conditional puts was compared with other servers: of many writers one always wins.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from muster_local import process
from muster_local.ports import free_ports

BUCKET = "lake"
SECRET = "never-to-be-read-anywhere"
PATIENCE = 60.0
"""Seconds that a put waits for another."""


@dataclass(frozen=True)
class ObjectStore:
    """A running store, with one bucket."""

    url: str

    def root(self, *names: str) -> str:
        """Return the address of a prefix."""
        return "/".join([f"s3://{BUCKET}", *names])

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which obstore, delta-rs, pyarrow and Muster's Spark all find it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "eu-central-1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "access-key-of-tests",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }


def start(home: Path) -> str:
    """Start it in a home, whose processes end with the run; return its address once it has the bucket."""
    (port,) = free_ports(1)
    command = [sys.executable, "-P", __file__, str(port)]
    started = process.start("object_store", command, home=home.resolve(), env=dict(os.environ))
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while started.poll() is None and time.monotonic() < deadline:
        try:
            requests.put(f"{url}/{BUCKET}", timeout=30).raise_for_status()
            return url
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(process.log_file(home.resolve(), "object_store").read_text())


Answer = Callable[..., Any]


class Faults:
    """Answers as the store does, but for puts to a table's log, by the first part of their key.

    `raced/`: Spark's first one is carried out only after another writer's of the same name. `busy/`: the first of a
    name is refused, as while another is under way. `lost/`: the first of a name is carried out, but its answer does
    not arrive.
    """

    def __init__(self, store: Callable[[dict[str, Any], Answer], Iterable[bytes]]) -> None:
        self.store = store
        self.met: set[str] = set()
        self.changed = threading.Condition()

    def __call__(self, request: dict[str, Any], answer: Answer) -> Iterable[bytes]:
        """Handle a request, as WSGI has it."""
        path = request["PATH_INFO"]
        fault, log = path.split("/")[2:3], path.partition("/_delta_log/")
        if request["REQUEST_METHOD"] != "PUT" or not log[2].endswith(".json"):
            return self.store(request, answer)
        if fault == ["raced"]:
            if "Hadoop" not in request["HTTP_USER_AGENT"]:
                put = list(self.store(request, answer))
                self._first(path)
                return put
            if self._first(log[0]):
                with self.changed:
                    self.changed.wait_for(lambda: path in self.met, PATIENCE)
        elif fault in (["busy"], ["lost"]) and self._first(path):
            if fault == ["busy"]:
                return self._failed("409 Conflict", "ConditionalRequestConflict", answer)
            list(self.store(request, lambda *_: None))
            return self._failed("500 Internal Server Error", "InternalError", answer)
        return self.store(request, answer)

    def _failed(self, status: str, code: str, answer: Answer) -> list[bytes]:
        answer(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>try again</Message></Error>".encode()]

    def _first(self, what: str) -> bool:
        """Return whether this is met for the first time."""
        with self.changed:
            first = what not in self.met
            self.met.add(what)
            self.changed.notify_all()
        return first


def main(port: int) -> None:
    """Serve until this process is ended."""
    from moto.server import DomainDispatcherApplication, create_backend_app  # type: ignore[import-untyped]
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, Faults(DomainDispatcherApplication(create_backend_app)), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
