"""The budget's figures in the settings: read from JSON, every wrong one named."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from muster.settings import Settings
from muster.settings.limits import CallRates


def test_the_figures_are_databricks_published_ones_unless_told() -> None:
    assert Settings(_env_file=None).mlflow_budget == CallRates(search=7, log_batch=47, registry=40, rest=127)


def test_a_class_that_is_named_is_changed_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_MLFLOW_BUDGET", '{"search": 3.5, "rest": 10}')
    assert Settings(_env_file=None).mlflow_budget == CallRates(search=3.5, rest=10)


def test_every_wrong_figure_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_MLFLOW_BUDGET", '{"serch": 3, "rest": 0, "registry": -1, "log_batch": "many"}')
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None)
    message = str(refused.value)
    assert "no class of call 'serch'; there is: search, log_batch, registry, rest" in message
    for name, value in {"rest": "0", "registry": "-1", "log_batch": "many"}.items():
        assert f"'{name}' is '{value}': give the calls a second as a number above 0" in message


def test_another_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Settings(_env_file=None, mlflow_budget=CallRates(search=2), mlflow_share=0.5)
    for name, value in own.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None) == own.model_copy(update={"home": own.home.resolve()})
