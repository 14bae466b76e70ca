"""`./muster up`, without what it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.settings import Settings, settings
from muster_local import local
from muster_local.cli import main


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
