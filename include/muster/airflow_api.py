"""A client of the part of Airflow's REST API that running the stages needs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential

from muster.airflow_runs import DagRun, TaskInstance, dag_run
from muster.errors import MusterError
from muster.mlflow.sign_in import Login

RETRY_SECONDS = 30.0
"""How long a request is sent again while the server is busy; to one whose process lives, for as long as it does."""

TRIES = 5
"""How often an answer that is an error is asked for at least: one alone may take long."""


class AirflowRefused(MusterError):
    """Raised when Airflow answers a request with an error."""

    def __init__(self, method: str, path: str, response: requests.Response) -> None:
        self.status = response.status_code
        super().__init__(f"Airflow answered {method} {path} with {response.status_code}: {response.text[:300]}")


class AirflowUnreachable(MusterError):
    """Raised when Airflow does not answer at all."""

    def __init__(self, url: str) -> None:
        super().__init__(f"Airflow does not answer at {url}; ./muster status shows what runs")


class SignInRefused(MusterError):
    """Raised when Airflow does not let us in."""

    def __init__(self, url: str, login: Login | None) -> None:
        problem = f"refuses the password of '{login.user}' in {login.file}" if login else "requires a password"
        super().__init__(
            f"Airflow at {url} {problem}; was MUSTER_HOST changed, or the password? ./muster down, then up"
        )


@dataclass
class Airflow:
    """A client of one Airflow, with a token of its own."""

    url: str
    login: Login | None = field(default=None, repr=False)
    session: requests.Session = field(default_factory=requests.Session)
    alive: Callable[[], bool] = lambda: False
    """Whether its process is known to live: on a busy machine it may not answer for minutes."""
    on_wait: Callable[[], None] = lambda: None
    """Called each time that a living one has not answered."""
    timeout: float = 30.0
    """Seconds within which it must answer a request."""
    patience: float | None = None
    """Seconds for which a request is sent again; None: `RETRY_SECONDS`."""
    token: str | None = field(default=None, repr=False)
    """One that somebody has made, where there is no login to get one with."""

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def has_dag(self, dag: str) -> bool:
        """Return whether Airflow has read this DAG."""
        try:
            self._request("GET", f"/dags/{dag}")
        except AirflowRefused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def import_errors(self) -> list[str]:
        """Return why DAG files could not be read, one last line each."""
        return [f"{file}: {lines[-1]}" for file, lines in self.import_error_lines()]

    def import_error_lines(self) -> list[tuple[str, list[str]]]:
        """Return each DAG file that could not be read, and the lines that say why."""
        errors = self._request("GET", "/importErrors")["import_errors"]
        return [(error["filename"], error["stack_trace"].strip().splitlines() or [""]) for error in errors]

    def paused_by_hand(self, dag: str) -> bool:
        """Tell whether a DAG is paused that somebody, or an earlier `up`, had let run: a new one begins paused."""
        if not self._request("GET", f"/dags/{dag}")["is_paused"]:
            return False
        changes = self._request("GET", "/eventLogs", params={"dag_id": dag, "event": "patch_dag", "limit": 1})
        return bool(changes["total_entries"])

    def paused(self) -> set[str]:
        """Return the DAGs that are paused."""
        paused: set[str] = set()
        while True:
            page = self._request("GET", "/dags", params={"paused": True, "limit": 100, "offset": len(paused)})
            paused |= (names := {dag["dag_id"] for dag in page["dags"]})
            if len(names) < 100:
                return paused

    def unpause(self, dag: str) -> None:
        """Let a DAG run."""
        self._request("PATCH", f"/dags/{dag}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def trigger(
        self, dag: str, partition: str | None, run: str | None = None, conf: Mapping[str, Any] | None = None
    ) -> str:
        """Start a run of a DAG, for a partition if it has any: one, however often the request must be sent.

        The run's id, which is returned, is ours, so that a repeated request is refused where the first had arrived.
        """
        run = run or f"manual__{datetime.now(UTC).isoformat()}_{secrets.token_hex(4)}"
        body: dict[str, Any] = {"dag_run_id": run, "logical_date": None, "conf": dict(conf or {})}
        try:
            self._request("POST", f"/dags/{dag}/dagRuns", json={**body, "partition_key": partition})
        except AirflowRefused as refused:
            if refused.status != 409:
                raise
        return run

    def clear(self, run: DagRun, *, only_failed: bool) -> None:
        """Let a run's tasks run again, those that failed or all: it keeps its id and what it was triggered with."""
        body = {"dry_run": False, "only_failed": only_failed}
        self._request("POST", f"/dags/{run.dag}/dagRuns/{run.id}/clear", json=body)

    def run(self, dag: str, run: str) -> DagRun:
        """Return a run by its id."""
        return dag_run(self._request("GET", f"/dags/{dag}/dagRuns/{run}"))

    def note(self, dag: str, run: str) -> str:
        """Return the note on a run; empty without one."""
        return self._request("GET", f"/dags/{dag}/dagRuns/{run}").get("note") or ""

    def set_note(self, dag: str, run: str, note: str) -> None:
        """Write the note on a run, in the place of what it has."""
        path, named = f"/dags/{dag}/dagRuns/{run}", {"update_mask": "note"}
        self._request("PATCH", path, params=named, json={"note": note})

    def runs_of(self, dag: str, *states: str) -> list[DagRun]:
        """Return the newest runs of a DAG, of all states or of these."""
        params = {"order_by": "-id", "limit": 100, **({"state": states} if states else {})}
        return [dag_run(run) for run in self._request("GET", f"/dags/{dag}/dagRuns", params=params)["dag_runs"]]

    def causes(self, run: DagRun) -> list[dict[str, Any]]:
        """Return what the asset events say that started a run: none where no event did."""
        path = f"/dags/{run.dag}/dagRuns/{run.id}/upstreamAssetEvents"
        return [event["extra"] or {} for event in self._request("GET", path)["asset_events"]]

    def xcom(self, task: TaskInstance, key: str) -> Any:
        """Return what a task has pushed by a key; None where it has not."""
        path = f"/dags/{task.dag}/dagRuns/{task.run}/taskInstances/{task.task}/xcomEntries/{key}"
        try:
            return self._request("GET", path, params={"map_index": task.map_index})["value"]
        except AirflowRefused as refused:
            if refused.status == 404:
                return None
            raise

    def runs(self, partition: str, workload: str | None = None) -> Iterator[DagRun]:
        """Yield the runs of all DAGs, or of a workload's, for a partition, the newest first."""
        params = {"partition_key_prefix_pattern": partition, "order_by": "-id", "limit": 100}
        params |= {"dag_id_prefix_pattern": f"{workload}."} if workload else {}
        for run in self._runs(params):
            if run.partition == partition:
                yield run

    def runs_in(self, *states: str) -> list[DagRun]:
        """Return the newest runs of all DAGs that are in these states, those at work before those that are queued."""
        return self._runs({"state": states, "order_by": ["-state", "-id"], "limit": 100})

    def _runs(self, params: Mapping[str, Any]) -> list[DagRun]:
        return [dag_run(run) for run in self._request("GET", "/dags/~/dagRuns", params=params)["dag_runs"]]

    def tasks_in(self, *states: str) -> list[TaskInstance]:
        """Return the task instances of all runs that are in these states."""
        params = {"state": states, "order_by": "-start_date", "limit": 100}
        return self._tasks("/dags/~/dagRuns/~/taskInstances", params)

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        """Return the task instances of a run."""
        return self._tasks(f"/dags/{run.dag}/dagRuns/{run.id}/taskInstances", {})

    def _tasks(self, path: str, params: Mapping[str, Any]) -> list[TaskInstance]:
        tasks = []
        for item in self._request("GET", path, params=params)["task_instances"]:
            what = (item["task_id"], item["state"], item["try_number"], item["map_index"])
            tasks.append(TaskInstance(*what, item["dag_id"], item["dag_run_id"]))
        return tasks

    def storage(self, task: TaskInstance) -> dict[str, Any]:
        """Return what stands on a task's page under *Storage*."""
        path = f"/dags/{task.dag}/dagRuns/{task.run}/taskInstances/{task.task}/state-store"
        items = self._request("GET", path, params={"map_index": task.map_index})["task_state_store"]
        return {item["key"]: item["value"] for item in items}

    def log(self, run: DagRun, task: TaskInstance) -> list[str]:
        """Return the lines of a task's last try."""
        path = f"/dags/{run.dag}/dagRuns/{run.id}/taskInstances/{task.task}/logs/{task.tries}"
        content = self._request("GET", path, params={"map_index": task.map_index})["content"]
        return [line if isinstance(line, str) else str(line.get("event", "")) for line in content]

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request, again while the server is busy: with SQLite, a database that others write to answers 500."""
        attempts = Retrying(
            retry=retry_if_exception(_busy), stop=self._gives_up, wait=wait_exponential(0.5, max=5), reraise=True
        )
        try:
            return attempts(self._send, method, path, **arguments)
        except requests.RequestException:
            raise AirflowUnreachable(self.url) from None

    def _gives_up(self, attempt: RetryCallState) -> bool:
        patience = RETRY_SECONDS if self.patience is None else self.patience
        if (attempt.seconds_since_start or 0.0) < patience:
            return False
        if attempt.outcome and isinstance(attempt.outcome.exception(), AirflowRefused):
            return self.patience is not None or attempt.attempt_number >= TRIES
        if not self.alive():
            return True
        self.on_wait()
        return False

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        if "Authorization" not in self.session.headers:
            self.session.headers["Authorization"] = f"Bearer {self.token or self._token()}"
        response = self.session.request(method, f"{self.url}/api/v2{path}", timeout=self.timeout, **arguments)
        if response.status_code == 401:
            del self.session.headers["Authorization"]
        if not response.ok:
            raise AirflowRefused(method, path, response)
        return response.json()

    def _token(self) -> str:
        address = f"{self.url}/auth/token"
        if self.login is None:
            response = self.session.get(address, timeout=self.timeout)
        else:
            credentials = {"username": self.login.user, "password": self.login.password}
            response = self.session.post(address, json=credentials, timeout=self.timeout)
        if response.status_code in (401, 403):
            raise SignInRefused(self.url, self.login)
        if not response.ok:
            raise AirflowRefused("POST" if self.login else "GET", "/auth/token", response)
        return str(response.json()["access_token"])


def _busy(error: BaseException) -> bool:
    if isinstance(error, AirflowRefused):
        return error.status in (401, 429) or error.status >= 500
    return isinstance(error, requests.RequestException)
