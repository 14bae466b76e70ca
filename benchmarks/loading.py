"""Loading: the restricted unpickler against pickle's own, and against skops."""

from __future__ import annotations

import pickle
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops import io as skops

from benchmarks.figures import Figure
from muster.models.loading import load
from muster.settings import Settings

ROUNDS = 5
COUNTS = {"logistic pipeline": 10_000, "forest of 20": 300, "isolation forest of 100": 60}
"""Loads of each in a round; skops, which is slower, loads the fiftieth part."""


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Load each family's model all three ways in turn."""
    counts, rounds = (dict.fromkeys(COUNTS, 1), 1) if quick else (COUNTS, ROUNDS)
    return [figure for name, count in counts.items() for figure in _family(name, count, rounds)]


def _family(name: str, count: int, rounds: int) -> list[Figure]:
    pickled = pickle.dumps(model := _fitted(name), 5)
    safe = skops.dumps(model)
    trusted = skops.get_untrusted_types(data=safe)
    ways: tuple[tuple[Callable[[], Any], int], ...] = (
        (lambda: pickle.loads(pickled), count),
        (lambda: load(pickled), count),
        (lambda: skops.loads(safe, trusted=trusted), max(1, count // 50)),
    )
    measured = [[_milliseconds(way, times) for way, times in ways] for _ in range(rounds)]
    plain, restricted, other = (statistics.median(column) for column in zip(*measured, strict=True))
    ratio = statistics.median(times[1] / times[0] for times in measured)
    sizes = f"{len(pickled):,} bytes; skops {len(safe):,}, asks to trust {', '.join(trusted)}"
    each = f"{count:,} loads a round, medians of {rounds}: {plain:.4f} ms against {restricted:.4f} ms"
    return [
        Figure(f"{name}, against pickle.loads", ratio, "x", at_most=1.75, detail=each),
        Figure(f"{name}, skops against the restricted unpickler", other / restricted, "x", detail=sizes),
    ]


def _fitted(name: str) -> Any:
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(500, 10)), random.random(500) < 0.3
    model = {
        "logistic pipeline": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        "forest of 20": RandomForestClassifier(20, random_state=0),
        "isolation forest of 100": IsolationForest(random_state=0),
    }[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(features, labels)


def _milliseconds(way: Callable[[], Any], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        way()
    return (time.perf_counter() - start) / times * 1e3
