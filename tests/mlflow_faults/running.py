"""A running proxy, and what it wrote down."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muster_local import PROJECT
from muster_local.ports import free_ports
from tests.mlflow_faults.plan import Plan
from tests.mlflow_faults.windows import busiest_second


@dataclass(frozen=True)
class RunningProxy:
    uri: str
    log: Path

    def follow(self, plan: Plan) -> None:
        """Let the proxy follow another plan, from the plan's first request on, and forget what it wrote down."""
        body = json.dumps(plan.as_dict()).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.uri}/_plan", body, method="POST"), timeout=10).close()
        self.log.write_text("")

    def seen(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def times(self, without: str = "-") -> dict[str, list[float]]:
        """Return when the calls of each class came, without those whose path ends with a word."""
        by_class: dict[str, list[float]] = defaultdict(list)
        for line in self.seen():
            if not line["path"].endswith(without):
                by_class[line["class"]].append(line["at"])
        return by_class

    def busiest(self) -> dict[str, int]:
        return {call_class: busiest_second(times) for call_class, times in self.times().items()}


@contextmanager
def proxy(server: str, folder: Path) -> Iterator[RunningProxy]:
    """Run a proxy before an MLflow server, in a process of its own."""
    (port,) = free_ports(1)
    running = RunningProxy(f"http://127.0.0.1:{port}", folder / f"requests-{port}.jsonl")
    command = [sys.executable, "-m", "tests.mlflow_faults.proxy", str(port), server, str(running.log)]
    process = subprocess.Popen(command, cwd=PROJECT)
    try:
        for _ in range(300):
            try:
                running.follow(Plan())
                break
            except OSError:
                time.sleep(0.1)
        yield running
    finally:
        process.terminate()
        process.wait()
