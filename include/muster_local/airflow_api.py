"""Airflow's REST API, as far as running the line needs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from muster.errors import MusterError
from muster.mlflow.sign_in import Login

PATIENCE = 30.0
"""Seconds for which a busy server may refuse before its answer counts."""


class AirflowRefused(MusterError):
    """Raised when Airflow answers a request with an error."""

    def __init__(self, method: str, path: str, answer: requests.Response) -> None:
        self.status = answer.status_code
        super().__init__(f"Airflow answered {method} {path} with {answer.status_code}: {answer.text[:300]}")


class AirflowSilent(MusterError):
    """Raised when Airflow does not answer at all."""

    def __init__(self, url: str) -> None:
        super().__init__(f"Airflow does not answer at {url}; ./muster status tells what runs")


class SignInRefused(MusterError):
    """Raised when Airflow does not let us in."""

    def __init__(self, url: str, login: Login | None) -> None:
        told = f"refuses the password of '{login.user}' in {login.file}" if login else "asks for a password"
        super().__init__(f"Airflow at {url} {told}; was MUSTER_HOST changed, or the password? ./muster down, then up")


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG for one partition."""

    dag: str
    id: str
    state: str
    seconds: float | None
    """How long it ran, once it has ended."""
    queued_at: datetime | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether it is still to end."""
        return self.state in ("queued", "running")


@dataclass(frozen=True)
class TaskInstance:
    """A task of a run."""

    task: str
    state: str | None
    tries: int
    map_index: int


@dataclass
class Airflow:
    """A client of one Airflow, with a token of its own."""

    url: str
    login: Login | None = None
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def has_dag(self, dag: str) -> bool:
        """Say whether Airflow has read this DAG."""
        try:
            self._ask("GET", f"/dags/{dag}")
        except AirflowRefused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def import_errors(self) -> list[str]:
        """Return why DAG files could not be read, one last line each."""
        errors = self._ask("GET", "/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def unpause(self, dag: str) -> None:
        """Let a DAG run."""
        self._ask("PATCH", f"/dags/{dag}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def trigger(self, dag: str, partition: str) -> None:
        """Start a run of a DAG for a partition."""
        self._ask("POST", f"/dags/{dag}/dagRuns", json={"logical_date": None, "conf": {}, "partition_key": partition})

    def runs(self, partition: str) -> Iterator[DagRun]:
        """Yield the runs of all DAGs for a partition, the newest first."""
        params = {"partition_key_prefix_pattern": partition, "order_by": "-id", "limit": 100}
        found = self._ask("GET", "/dags/~/dagRuns", params=params)
        for run in found["dag_runs"]:
            if run["partition_key"] == partition:
                times = (_time(run[name]) for name in ("queued_at", "start_date", "end_date"))
                yield DagRun(run["dag_id"], run["dag_run_id"], run["state"], run["duration"], *times)

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        """Return the task instances of a run."""
        found = self._ask("GET", f"/dags/{run.dag}/dagRuns/{run.id}/taskInstances")["task_instances"]
        return [TaskInstance(one["task_id"], one["state"], one["try_number"], one["map_index"]) for one in found]

    def log(self, run: DagRun, task: TaskInstance) -> list[str]:
        """Return the lines of a task's last try."""
        path = f"/dags/{run.dag}/dagRuns/{run.id}/taskInstances/{task.task}/logs/{task.tries}"
        content = self._ask("GET", path, params={"map_index": task.map_index})["content"]
        return [line if isinstance(line, str) else str(line.get("event", "")) for line in content]

    def _ask(self, method: str, path: str, **what: Any) -> Any:
        """Send a request; a server that is too busy to answer is asked again, a trigger only when it was not taken."""
        again = retry_if_exception(lambda error: _busy(error, repeatable=method != "POST"))
        asked = Retrying(retry=again, stop=stop_after_delay(PATIENCE), wait=wait_exponential(0.5, max=5), reraise=True)
        try:
            return asked(self._ask_once, method, path, **what)
        except requests.RequestException:
            raise AirflowSilent(self.url) from None

    def _ask_once(self, method: str, path: str, **what: Any) -> Any:
        if "Authorization" not in self.session.headers:
            self.session.headers["Authorization"] = f"Bearer {self._token()}"
        answer = self.session.request(method, f"{self.url}/api/v2{path}", timeout=30, **what)
        if answer.status_code == 401:
            del self.session.headers["Authorization"]
        if not answer.ok:
            raise AirflowRefused(method, path, answer)
        return answer.json()

    def _token(self) -> str:
        address = f"{self.url}/auth/token"
        if self.login is None:
            answer = self.session.get(address, timeout=30)
        else:
            given = {"username": self.login.user, "password": self.login.password}
            answer = self.session.post(address, json=given, timeout=30)
        if answer.status_code in (401, 403):
            raise SignInRefused(self.url, self.login)
        if not answer.ok:
            raise AirflowRefused("POST" if self.login else "GET", "/auth/token", answer)
        return str(answer.json()["access_token"])


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _busy(error: BaseException, *, repeatable: bool) -> bool:
    if isinstance(error, AirflowRefused):
        return error.status in (401, 429, 503) or (repeatable and error.status >= 500)
    return repeatable and isinstance(error, requests.RequestException)
