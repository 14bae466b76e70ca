"""What `status` says where MLflow does not tell where the aliases are."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from muster.champions.journal import Journal, Move
from muster.champions.units import Unit
from muster.settings import Settings, settings
from muster.storage.store import Store
from muster_local import aliases
from muster_local.aliases import AliasState, alias_state


def test_an_mlflow_that_does_not_run_is_said_and_no_error(tmp_path: Path) -> None:
    own = Settings(store=str(tmp_path), home=tmp_path)
    assert alias_state(own, []) == AliasState()
    assert str(alias_state(own, ["flights"]).problem).startswith("MLflow is not running: ")


def test_an_mlflow_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit("flights", "flights")
    move = Move(unit, "2", "3", "gate", "test", "run", "2024-02-05", "0" * 64)
    Journal(Store(str(tmp_path), "flights")).append([move])
    monkeypatch.setattr(aliases, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as hangs:  # it listens and never answers
        monkeypatch.setenv("MUSTER_MLFLOW_URI", f"http://127.0.0.1:{hangs.getsockname()[1]}")
        monkeypatch.setenv("MUSTER_MLFLOW_WAITING", '{"first_pause": 0.01, "longest_pause": 0.05}')
        monkeypatch.setenv("MUSTER_STORE", str(tmp_path))
        monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
        settings.cache_clear()
        began = time.monotonic()
        state = alias_state(settings(), ["flights"])
        took = time.monotonic() - began
    settings.cache_clear()
    assert str(state.problem).startswith("MLflow does not tell where the aliases are (ServerUnavailable: ")
    assert took < 15, "MLflow's client would wait two minutes for each response"
