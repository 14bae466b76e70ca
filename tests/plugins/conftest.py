"""Settings that belong to one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from muster.settings import settings
from tests.plugins.airflow_task import declare


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of this test's own, which `settings()` tells."""
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MUSTER_STORE", str(tmp_path / "store"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    """A small workload's YAML file."""
    return declare(tmp_path / "workloads")
