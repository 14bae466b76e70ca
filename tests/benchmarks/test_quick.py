"""Each benchmark on small sizes, in this process: those that measure a running stack run on one (`test_readme.py`)."""

from __future__ import annotations

import importlib

import pytest

from muster.settings import Settings
from muster_local import local
from muster_local.cli import bench

ON_A_STACK = {"line", "training"}
USES_MLFLOW = {"budget", "pack", "per_group"}
"""Those that otherwise start a server of their own."""

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore:The `airflow")  # skops asks every module that is imported for what it can save
@pytest.mark.parametrize("name", sorted(set(bench.benchmarks()) - ON_A_STACK - USES_MLFLOW))
def test_benchmark_runs_and_gives_figures(name: str, stack_settings: Settings) -> None:
    assert importlib.import_module(f"benchmarks.{name}").run(stack_settings, quick=True)


@pytest.mark.parametrize("name", sorted(USES_MLFLOW))
@pytest.mark.usefixtures("mlflow_settings")
def test_benchmark_of_mlflow_runs_on_the_tests_server(
    name: str, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_BENCH_HOME", str(stack_settings.home))
    (stack_settings.home / "port").write_text(str(stack_settings.mlflow_port))
    monkeypatch.setattr(local, "start", lambda *_: None)  # it runs; another worker may be starting something beside it
    assert importlib.import_module(f"benchmarks.{name}").run(stack_settings, quick=True)
