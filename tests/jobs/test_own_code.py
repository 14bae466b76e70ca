"""Models of one's own classes in workers: scored with the code as it is now, that of champions too."""

from __future__ import annotations

import functools
import importlib
import pickle
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muster
from muster.champions import opened
from muster.models.allowed import allowed_names
from muster.models.loading import CodeMissing
from muster.scoring.score import prepare, score_bucket
from muster.settings import Settings
from muster.storage.tables import PREDICTIONS
from muster.workload import imported_from
from muster_jobs import score
from muster_jobs.job import Job
from muster_jobs.own_code import WithOwnCode
from tests.jobs.conftest import MakeJob
from tests.plugins.airflow_task import declare
from tests.promotion.conftest import A, Line, Registry

OWN = """
from sklearn.base import BaseEstimator, ClassifierMixin
import numpy as np


class Mine(ClassifierMixin, BaseEstimator):
    classes_ = np.array([0, 1])

    def predict_proba(self, X):
        return np.tile([1 - {score}, {score}], (len(X), 1))
"""


def _forget() -> dict[str, Any]:
    return {name: sys.modules.pop(name) for name in [*sys.modules] if name.startswith("acme_models")}


class Worker:
    """A process of Spark's on another machine: it has no file of one's own, and keeps what it has imported."""

    def __init__(self, lib: Path) -> None:
        self.lib, self.modules, self.meta_path = str(lib), dict[str, Any](), list(sys.meta_path)
        opened._opened.cache_clear()
        allowed_names.cache_clear()

    def run(self, pickled: bytes, buckets: Sequence[int]) -> pa.Table:
        here = _forget()
        with pytest.MonkeyPatch.context() as there:
            there.setattr(sys, "path", [place for place in sys.path if place != self.lib])
            there.setattr(sys, "meta_path", self.meta_path)
            sys.modules.update(self.modules)
            try:
                work = pickle.loads(pickled)
                return pa.concat_tables([work(bucket) for bucket in buckets])
            finally:
                self.modules = _forget()
                sys.modules.update(here)


class WorkerJob(Job):
    """The job with its work done by that worker; what it would write is kept."""

    worker: Worker
    written: pa.Table
    memory = None  # type: ignore[assignment] - there is no Spark to ask

    def over_bins(
        self,
        bins: Sequence[Sequence[int]],
        function: Callable[[int], pa.Table],
        schema: pa.Schema,
        loads: Collection[str] = (),
        cpus: int = 1,
    ) -> pa.Table:
        sent = pickle.dumps(WithOwnCode(function, self.context, loads))
        return self.worker.run(sent, [bucket for buckets in bins for bucket in buckets])

    frame_over_bins = over_bins  # type: ignore[assignment] - a table, where it plans one

    def replace(self, rows: Any, table: str, where: str, at_most: int | None = None, mark: str | None = None) -> None:
        self.__dict__["written"] = rows


@pytest.fixture
def lib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on this process's path with a package of one's own."""
    package = tmp_path / "lib" / "acme_models"
    package.mkdir(parents=True)
    for name, text in (("__init__", ""), ("old", OWN.format(score=0.125)), ("new", OWN.format(score=0.5))):
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(package.parent))
    yield package.parent
    _forget()


def _promoted(line: Line) -> None:
    """Make a model of one's own class the champion."""
    line.declared |= {"algorithms": {"mine": "acme_models.old.Mine"}}
    (line.root / f"{line.name}.py").write_text("def features(rows): ...\n")
    line.features(line.first, [{"group": A, "a": 1.0, "b": 0.0, "record": 0.5}])
    run = line.train(line.first, {A: {"mine": importlib.import_module("acme_models.old").Mine()}})
    line.decide(line.first, run, {A: "promote"}, chosen={A: "mine"})
    line.promote(line.first)


def _scores(line: Line, worker: Worker) -> list[float]:
    job = WorkerJob("score", line.at(line.first), Settings(home=line.root), "test")
    job.__dict__["worker"] = worker
    score.run(job)
    return list(job.written["score"].to_pylist())


def test_a_warm_worker_scores_with_the_class_as_it_is_now(registry: Registry, lib: Path) -> None:
    _promoted(registry)
    worker = Worker(lib)
    assert _scores(registry, worker) == [0.125]
    (lib / "acme_models" / "old.py").write_text(OWN.format(score=0.75))
    assert _scores(registry, worker) == [0.75]


def test_a_worker_gets_the_code_of_champions_that_the_yaml_names_no_longer(registry: Registry, lib: Path) -> None:
    _promoted(registry)
    registry.declared |= {"algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"}}
    assert _scores(registry, Worker(lib)) == [0.125]
    registry.declared |= {"algorithms": {"mine": "acme_models.new.Mine"}}  # another module of the same package
    assert _scores(registry, Worker(lib)) == [0.125]


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_code_that_is_gone_is_an_error_that_names_it(registry: Registry, lib: Path, warm: bool) -> None:
    _promoted(registry)
    registry.declared |= {"algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"}}
    worker = Worker(lib)
    if warm:
        assert _scores(registry, worker) == [0.125]
    (lib / "acme_models" / "old.py").unlink()
    (lib / "acme_models" / "__init__.py").unlink()
    importlib.invalidate_caches()
    with pytest.raises(
        CodeMissing, match=r"group 'A,X' .* 'acme_models.old.Mine', .* No module .* roll back$"
    ) as error:
        _scores(registry, worker)
    assert "\n" not in str(error.value)


def test_every_cache_of_a_process_is_emptied_with_modules_or_holds_nothing_of_them() -> None:
    """Whoever adds one decides."""
    caches = set[Any]()
    for module in pkgutil.walk_packages(muster.__path__, "muster."):
        if module.name != "muster.models.pyfunc":  # of a logged model
            values = vars(importlib.import_module(module.name)).values()
            caches |= {value for value in values if isinstance(value, functools._lru_cache_wrapper)}
    others = caches - {getattr(empty, "__self__", None) for empty in imported_from._empty}
    names = {f"{cache.__module__}.{cache.__name__}" for cache in others}
    assert {name for name in names if name.startswith("muster.")} == {
        *("muster.mlflow.budget.budget._opened", "muster.models.bundle._distributions"),
        *("muster.settings.settings", "muster.workload.load._adapter"),
        *("muster.ingest.sources.pattern._expression", "muster.ingest.formats.csv_rows.grammar"),
        *("muster.ingest.formats.json_lines._nearly", "muster.ingest.sources.table._at"),
        *("muster.ingest.sources.catalog._asked", "muster.ingest.sources.catalog._client"),
        *("muster.storage.object_store.object_store", "muster.champions.opened.verified_manifest"),
        *(f"muster.workload.zone.{name}" for name in ("_names", "_rules", "begins", "stretches")),
    }


@pytest.mark.spark
def test_warm_workers_of_spark_score_with_the_code_of_now_though_the_yaml_names_it_no_longer(
    served: Line, lib: Path, make_job: MakeJob
) -> None:
    _promoted(served)
    served.declared |= {"algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"}}
    scoring = prepare(served.at(served.first))
    (bucket,) = scoring.features.files
    made = make_job("score", declare(served.root), served.first, served.root)
    job = replace(made, context=served.at(served.first))
    job.__dict__["spark"] = made.spark
    bins = [[bucket]] * 8  # each worker gets some

    def scores() -> set[float]:
        rows = job.over_bins(bins, partial(score_bucket, scoring), PREDICTIONS, scoring.champions.loads)
        return set(rows["score"].to_pylist())

    assert scores() == {0.125}
    (lib / "acme_models" / "old.py").write_text(OWN.format(score=0.75))
    assert scores() == {0.75}
