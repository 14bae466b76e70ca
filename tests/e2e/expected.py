"""What a partition must come to, computed with pandas and scikit-learn alone: shares no code with Muster."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from scipy.stats import rankdata
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tests.e2e.flights import Declared, Record, features, flights, with_parents


@dataclass(frozen=True)
class Flights:
    """The workload's declaration, and the rows of the year with their parents' copies."""

    declared: Declared
    observed: pd.DataFrame
    rows: pd.DataFrame
    record: Record

    def between(self, start: date, stop: date, group: str | None = None) -> pd.DataFrame:
        """Return the rows (of a group) of the days from `start` up to, not including, `stop`."""
        rows = self.rows if group is None else self._of_group[group]
        return rows[(rows["day"] >= start) & (rows["day"] < stop)]

    def features(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the features of `rows`, (rows, features); each row's are computed once."""
        computed, values = self._features
        new = rows[~computed[rows.index]]
        if len(new):
            values[new.index], computed[new.index] = features(new, self.record, self.declared), True
        return values[rows.index]

    @cached_property
    def _features(self) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.rows), len(self.declared["features"]["columns"])
        return np.zeros(len(self.rows), dtype=bool), np.empty(size)

    @cached_property
    def _of_group(self) -> dict[str, pd.DataFrame]:
        return dict(list(self.rows.groupby("group")))


def read(yaml_file: Path) -> Flights:
    """Read the workload's numbers and the year."""
    declared = yaml.safe_load(yaml_file.read_text())
    observed = flights(declared)
    return Flights(declared, observed, with_parents(observed, declared), Record(observed))


@dataclass(frozen=True)
class Sample:
    """Rows of one group with their features, (rows, features), and labels; NaN where none is known."""

    rows: pd.DataFrame
    x: np.ndarray
    y: np.ndarray

    @property
    def labelled(self) -> Sample:
        """The rows whose label is known."""
        known = ~np.isnan(self.y)
        return Sample(self.rows[known], self.x[known], self.y[known])


class Gains(NamedTuple):
    """By how much a group's model ranks better on each resample of its rows."""

    over_opponent: np.ndarray
    over_chance: np.ndarray
    """Which one score for all rows is: its AUC is 0.5 on every resample."""


class Week:
    """A partition: who enters, what is learnt of whom, and how it is judged."""

    def __init__(self, year: Flights, partition: str) -> None:
        windows = year.declared["windows"]
        self.year, self.partition, self.day = year, partition, date.fromisoformat(partition)
        self.judged_from = self.day - timedelta(days=windows["evaluate"])
        self.trained_from = self.judged_from - timedelta(days=windows["train"])
        self.ends = self.day + timedelta(days=year.declared["schedule"].get("every", 7))
        self._models: dict[str, Pipeline] = {}
        self._gains: dict[str, Gains] = {}

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """Rows, positives and state of every group that enters, by group."""
        rows = self.year.between(self.trained_from, self.day)
        training_rows = rows[(rows["day"] < self.judged_from) & rows["label"].notna()]
        ledger = pd.DataFrame(index=sorted(rows["group"].unique()))
        ledger["parent"] = [group.startswith("*") for group in ledger.index]
        ledger["rows"] = training_rows.groupby("group").size().reindex(ledger.index, fill_value=0)
        ledger["positives"] = (
            training_rows.groupby("group")["label"].sum().reindex(ledger.index, fill_value=0).astype(int)
        )
        ledger["reason"] = None
        ledger.loc[ledger["positives"].isin([0]) | (ledger["positives"] == ledger["rows"]), "reason"] = "one class only"
        too_few = ledger["rows"] < self.year.declared["windows"]["min_rows"]
        ledger.loc[too_few, "reason"] = "too few labelled rows"
        ledger["state"] = np.where(ledger["reason"].isna(), "trained", "skipped")
        return ledger

    def training_sample(self, group: str) -> Sample:
        """Return what a group's model learns from."""
        return self._sample(group, self.trained_from, self.judged_from).labelled

    def run_sample(self, group: str) -> Sample:
        """Return all that makes a group enter the run, its unknown labels included."""
        return self._sample(group, self.trained_from, self.day)

    def evaluation_sample(self, group: str) -> Sample:
        """Return what a group's models are judged on."""
        return self._sample(group, self.judged_from, self.day).labelled

    @cached_property
    def scored(self) -> Sample:
        """Every flight of the partition's own days."""
        rows = self.year.between(self.day, self.ends)
        return self._of(rows[~rows["parent"]])

    def model(self, group: str) -> Pipeline:
        """Return the group's model: the declared pipeline, written out by hand."""
        if group not in self._models:
            imputer, scaler, regression = self.year.declared["algorithms"]["logistic"]
            assert scaler == "sklearn.preprocessing.StandardScaler"
            steps = [
                ("fill", SimpleImputer(**imputer["sklearn.impute.SimpleImputer"])),
                ("scale", StandardScaler()),
                ("fit", LogisticRegression(**regression["sklearn.linear_model.LogisticRegression"])),
            ]
            sample = self.training_sample(group)
            with threadpool_limits(limits=1):
                self._models[group] = Pipeline(steps).fit(sample.x, sample.y.astype(int))
        return self._models[group]

    def score(self, group: str, x: np.ndarray) -> np.ndarray:
        """Return the probability of a late arrival, a row each, by the group's model."""
        probabilities: np.ndarray = self.model(group).predict_proba(x)[:, 1]
        return probabilities

    def gains(self, group: str, theirs: np.ndarray) -> Gains:
        """Return by how much the group's model ranks better on each resample; made once a group."""
        if group not in self._gains:
            sample, resamples = self.evaluation_sample(group), self.year.declared["gate"].get("resamples", 1000)
            own, ours = seed(group, self.year.declared), self.score(group, sample.x)
            self._gains[group] = gains(sample, ours, theirs, resamples, own)
        return self._gains[group]

    def baseline(self, sample: Sample) -> np.ndarray:
        """Return the declared baseline's score of each row."""
        scores: np.ndarray = sample.x[:, self.year.declared["features"]["columns"].index(self.baseline_feature)]
        return scores

    @property
    def baseline_feature(self) -> str:
        """The feature that a first candidate has to beat."""
        return str(self.year.declared["gate"]["baseline"])

    def _sample(self, group: str, start: date, stop: date) -> Sample:
        return self._of(self.year.between(start, stop, group))

    def _of(self, rows: pd.DataFrame) -> Sample:
        return Sample(rows, self.year.features(rows), rows["label"].to_numpy())


def gains(sample: Sample, ours: np.ndarray, theirs: np.ndarray, resamples: int, seed: int) -> Gains:
    """Return by how much `ours` ranks better on each of the paired resamples that holds both classes, one by one.

    Days are drawn, as many as there are, each with all its rows.
    """
    generator, labels = np.random.Generator(np.random.Philox(key=seed)), sample.y
    days = [np.flatnonzero(sample.rows["day"] == day) for day in sorted(sample.rows["day"].unique())]
    aucs = []
    for _ in range(resamples):
        drawn = np.concatenate([days[number] for number in generator.integers(len(days), size=len(days))])
        if 0 < labels[drawn].sum() < len(drawn):
            aucs.append((auc(labels[drawn], ours[drawn]), auc(labels[drawn], theirs[drawn])))
    own, others = np.array(aucs).T
    return Gains(own - others, own - 0.5)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve by ranks: scikit-learn's takes ten times as long."""
    positives = labels.sum()
    above = rankdata(scores)[labels == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(labels) - positives)))


def seed(group: str, declared: dict[str, Any]) -> int:
    """Return the seed of a group: 8 bytes of sha256 of `<the workload's seed>:<group>`."""
    digest = hashlib.sha256(f"{declared.get('seed', 0)}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
