"""How many alarms may be false: among those of a partition, and in a year in which nothing happens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from muster.workload.monitor import Monitor

Floats = NDArray[np.float64]

FAMILIES = 4
"""What may raise an alarm: groups that are worse, all together that are, groups that drift, all together that do."""


def q_values(p_values: Floats) -> Floats:
    """Return Benjamini and Hochberg's q-values (1995) of any shape; those that are NaN are no tests and stay so."""
    adjusted = np.full(p_values.shape, np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        from scipy.stats import false_discovery_control  # half a second to import: not in every process

        adjusted[tested] = false_discovery_control(p_values[tested])
    return adjusted


def alarms(q: Floats, monitor: Monitor, every: int) -> NDArray[np.bool_]:
    """Return which tests of a family raise an alarm, by their q-values.

    First it is asked whether anything happened at all: the least q-value is the p-value of Simes' test of that (1986),
    and a quiet partition passes it no more often than its share of `alarms_a_year`. Where it is passed, alarms are
    those of Benjamini and Hochberg, of which no more than `false_alarms` are expected to be false. So a quiet year
    keeps the one promise, and others the other.
    """
    known = q[~np.isnan(q)]
    if not len(known) or known.min() > per_family(monitor, every):
        return np.zeros(q.shape, dtype=bool)
    return np.asarray(q <= max(monitor.false_alarms, per_family(monitor, every)))


def per_family(monitor: Monitor, every: int) -> float:
    """Return how often a quiet partition may raise any alarm by one family of tests."""
    return min(1.0, monitor.alarms_a_year * every / 365) / FAMILIES
