"""`./muster up`, without what it starts."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from muster.settings import Settings, settings
from muster.workload.load import load_workload
from muster_local import local
from muster_local.cli import main, up
from muster_local.line import Line
from tests.plugins.airflow_task import declare


def test_services_are_started_without_any_workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the runbook says for a service that is down, whatever one's workloads are called."""
    started = []
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    monkeypatch.setenv("MUSTER_WORKLOADS", str(tmp_path))
    settings.cache_clear()

    def start(given: Settings, on_state: object) -> set[str]:
        started.append(given.home)
        return set()

    monkeypatch.setattr(local, "start", start)
    with pytest.raises(SystemExit) as ended:
        main(["up", "--weeks", "0"])
    assert (ended.value.code or 0, started) == (0, [tmp_path])
    settings.cache_clear()


def test_a_stage_that_waits_for_a_human_is_told_with_its_page_where_no_spinner_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(line: Line, partition: str) -> dict[str, float]:
        line.on_stage("evaluate", "success", 3.0)
        line.on_stage("promote", "running", None)
        line.on_stage("promote", "waiting for an answer", None)
        return {}

    monkeypatch.setattr(Line, "open", lambda line: None)
    monkeypatch.setattr(Line, "run", run)
    out = io.StringIO()
    own = Settings(_env_file=None, home=tmp_path, airflow_port=1234)
    up._run_stages(load_workload(declare(tmp_path, "flights")), ["2013-06-03"], own, Console(file=out))
    page = "http://127.0.0.1:1234/dags/flights.promote"
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["flights", "2013-06-03"],
        ["✓", "evaluate", "3.0", "s"],
        ["…", "promote", "waiting", "for", "an", "answer:", page],
    ]
