"""What executors are given of a driver: settings, sign-on, a share of the budget, and each group's own moment."""

from __future__ import annotations

import os
import time

import cloudpickle
import pytest

from muster.champions.access import Access
from muster.settings import settings


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> Access:
    """The access of a driver that signs on, whose settings this process then loses."""
    with monkeypatch.context() as driver:
        driver.setenv("MUSTER_MLFLOW_URI", "http://mlflow.example:5000")
        driver.setenv("MLFLOW_TRACKING_PASSWORD", "hidden")
        settings.cache_clear()
        access: Access = cloudpickle.loads(cloudpickle.dumps(Access.of_driver(settings(), 40)))
    settings.cache_clear()
    return access


def test_an_executor_reaches_the_drivers_server_with_half_of_its_budget_and_only_meanwhile(access: Access) -> None:
    before = dict(os.environ)
    with access():
        assert settings().mlflow_tracking_uri == "http://mlflow.example:5000"
        assert settings().mlflow_share == 0.5
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "hidden"
    assert dict(os.environ) == before
    assert settings().mlflow_share == 1


def test_what_signs_on_is_never_shown(access: Access) -> None:
    assert "hidden" not in repr(access)


def test_moments_are_the_groups_own_in_order_and_spread_over_all_of_the_time(access: Access) -> None:
    groups = [f"group-{number}" for number in range(40)]
    assert access.in_turn(groups) == access.in_turn(reversed(groups)) != groups
    assert access.spread == 2.0


def test_a_moment_that_is_over_is_not_waited_for(access: Access) -> None:
    late = Access(access.environment, 2.0, time.time() - 5)
    began = time.monotonic()
    for number in range(100):
        late.wait_for(f"group-{number}")
    assert time.monotonic() - began < 1
