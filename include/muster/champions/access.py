"""How an executor reaches MLflow: with the driver's settings and sign-on, and a share of the budget."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from muster.mlflow.budget import mark_spark_process
from muster.mlflow.budget.executors import jitter, share
from muster.settings import Settings, settings

SIGN_ON = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""What MLflow's own client reads from the environment."""

GROUPS_A_SECOND = 20.0
"""How fast groups begin, all executors together: their jitter is spread over as many seconds as that takes."""

LONGEST_SPREAD = 30.0


@dataclass(frozen=True)
class Access:
    """Settings and sign-on of a driver. Plain data: it travels to the executors, never into a log."""

    environment: Mapping[str, str] = field(repr=False)
    spread: float
    """Seconds over which the groups' first calls are spread."""
    since: float
    """When that began, in seconds since 1970."""

    @classmethod
    def of_driver(cls, given: Settings, groups: int) -> Access:
        """Return how the executors of this process reach MLflow, for the work on so many groups."""
        # Executors of the local server use the driver's file of calls; those of a cluster have one each.
        part = share(given.spark_cores, same_host=given.backend == "connect", of_all=0.5 * given.mlflow_share)
        shared = given.model_copy(update={"mlflow_share": part, "mlflow_uri": given.mlflow_tracking_uri})
        sign_on = {name: os.environ[name] for name in SIGN_ON if name in os.environ}
        return cls(shared.environment() | sign_on, min(LONGEST_SPREAD, groups / GROUPS_A_SECOND), time.time())

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Let this process reach MLflow as the driver does; give it its own settings back in the end."""
        before = {name: os.environ.get(name) for name in (*self.environment, *SIGN_ON)}
        mark_spark_process()
        try:
            self._set({name: self.environment.get(name) for name in before})
            yield
        finally:
            self._set(before)

    def wait_for(self, group: str) -> None:
        """Wait for the group's own moment unless it is over; clocks that differ add no more than the spread."""
        time.sleep(min(self.spread, max(0.0, self.since + jitter(group, self.spread) - time.time())))

    def in_turn(self, groups: Iterable[str]) -> list[str]:
        """Return groups in the order of their moments."""
        return sorted(groups, key=lambda group: (jitter(group, self.spread), group))

    @staticmethod
    def _set(values: Mapping[str, str | None]) -> None:
        changes = {name: value for name, value in values.items() if os.environ.get(name) != value}
        for name, value in changes.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if changes:
            settings.cache_clear()
