"""What train and evaluate leave behind, made by hand without Spark."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake
from sklearn.linear_model import LogisticRegression

from muster import groups
from muster.champions.alias import position
from muster.champions.journal import Journal
from muster.champions.units import Unit, units
from muster.champions.versions import RegisteredVersion, current
from muster.context import Context, PartitionContext
from muster.mlflow.candidates import MODELS_TAG
from muster.mlflow.runs import close_run, open_runs
from muster.models.build import BuiltPack, build_pack
from muster.models.scores import gives_probabilities
from muster.models.shards import ShardWriter, encode
from muster.models.vouched import models_digest
from muster.promotion.approval import Approval
from muster.promotion.promote import promote
from muster.promotion.rollback import plan_rollback, roll_back
from muster.promotion.rollback_plan import RollbackPlan
from muster.scoring.score import prepare, score_bucket
from muster.settings import Settings
from muster.storage.delta import dataset
from muster.storage.store import Store
from muster.storage.tables import DECISIONS, MODELS, features_schema
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows

DECLARED = {
    "keys": ["carrier", "origin"],
    "time": "at",
    "columns": {"carrier": "string", "origin": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["carrier", "origin", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["a", "b", "record"], "buckets": 4},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 7},
    "gate": {"baseline": "record", "resample": "row"},
    "schedule": {"start": "2024-01-01"},
}

A, B, C = "A,X", "B,X", "C,X"


def over(tasks: int, work: Callable[[int], pa.Table], schema: pa.Schema) -> pa.Table:
    """Run the work here, carried over as Spark would carry it."""
    carried = cloudpickle.loads(cloudpickle.dumps(work))
    return pa.concat_tables([carried(number).cast(schema) for number in range(tasks)] or [schema.empty_table()])


class Killed(BaseException):
    """Stands for the end of the process."""


def dying(step: Callable[..., Any], after: bool) -> Callable[..., Any]:
    """Return a step in whose place the process is killed: before it, or once it is done."""

    def dies(*arguments: Any, **named: Any) -> Any:
        if after:
            step(*arguments, **named)
        raise Killed

    return dies


@dataclass
class Line:
    """What train and evaluate leave behind, made by hand for a workload of its own."""

    first, second, third = "2024-02-05", "2024-02-12", "2024-02-19"

    root: Path
    declared: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"made_{uuid.uuid4().hex[:8]}")
    known: dict[str, Any] = field(default_factory=dict)
    """What rows of `models` have by group in place of a quarter of positives."""

    @property
    def workload(self) -> Workload:
        former = {
            name: section for name, section in DECLARED.items() if name != "label" or "outcome" not in self.declared
        }
        return Workload.model_validate({"name": self.name, **former, **self.declared})

    @property
    def store(self) -> Store:
        return Store(str(self.root), self.name)

    @property
    def context(self) -> Context:
        return Context(self.workload, self.root, self.store)

    def at(self, partition: str) -> PartitionContext:
        """Return the context of a partition."""
        return self.context.at(partition)

    def promote(self, partition: str, who: str = "test", approval: Approval | None = None) -> dict[str, Any]:
        """Promote a partition; executors' work is done here, carried over as Spark would carry it."""
        return promote(self.at(partition), who, approval, over)

    def unit(self, group: str | None = None) -> Unit:
        """Return the unit that answers for a group."""
        answering = units(self.workload, [group] if group else [])
        return answering.get(group) or answering[None]

    def champion(self, group: str | None = None) -> RegisteredVersion | None:
        """Return the version behind the alias, vouched for."""
        unit = self.unit(group)
        return current(unit, self.journal, self.store)

    def position(self, group: str | None = None) -> str | None:
        """Return the number of the version behind the alias, whoever put it there."""
        return position(self.unit(group))

    @property
    def journal(self) -> Journal:
        return Journal(self.store)

    @property
    def moves(self) -> list[dict[str, Any]]:
        """The rows of the journal."""
        return self.journal.rows

    def plan(self, version: str | None = None, groups: Any = (), against: str | None = None) -> RollbackPlan:
        """Plan a rollback."""
        return plan_rollback(self.context, version, groups, against)

    def roll_back(self, version: str | None = None, groups: Any = (), against: str | None = None) -> dict[str, Any]:
        """Roll back as somebody called ann who has bad scores."""
        return roll_back(self.context, self.plan(version, groups, against), "ann", "bad scores")

    def week(self, partition: str, verdicts: Mapping[str, str], slope: Any, against: Any = None) -> str:
        """Train and judge a partition by hand; `against` is the version, or each group's, that was champion."""
        run = self.train(partition, dict.fromkeys(verdicts, slope))
        self.decide(partition, run, verdicts, against)
        return run

    def begin(self, *weeks: tuple[str, Mapping[str, str], Any, Any]) -> dict[str, Any]:
        """Promote weeks (the arguments of `week`), as what a test begins with; return what the last promotion did."""
        from tests.registry.remembered import remembered  # two seconds that a process of a line's own does without

        result: dict[str, Any] = remembered(self, Line._promote_all, *weeks)
        return result

    def _promote_all(self, *weeks: tuple[str, Mapping[str, str], Any, Any]) -> dict[str, Any]:
        for week in weeks:
            self.week(*week)
            result = self.promote(week[0])
        return result

    @staticmethod
    def model(slope: float) -> LogisticRegression:
        """Return a fitted model whose score rises with `slope * a`."""
        made = LogisticRegression()
        made.classes_, made.coef_, made.intercept_ = np.array([0, 1]), np.array([[slope, 0.0, 0.0]]), np.zeros(1)
        made.n_features_in_, made.n_iter_ = 3, np.array([1])
        return made

    def train(self, partition: str, slopes: Mapping[str, Any], logged: bool = True) -> str:
        """Write a run's shards, its rows of `models` and its MLflow runs; return its name.

        A group has one model, of the algorithm `logistic`, or a mapping of algorithms to models.
        """
        run = f"{partition}-{groups.seed(self.name, len(slopes)):016x}"[:19]
        windows, buckets = partition_windows(self.workload, partition), self.workload.features.buckets
        names = sorted({name for slope in slopes.values() for name in self._algorithms(slope)})
        run_ids = open_runs(self.workload, run, names) if logged else dict.fromkeys(names, "none")
        rows = []
        for bucket in range(buckets):
            mine = [group for group in sorted(slopes) if groups.bucket(group, buckets) == bucket]
            with ShardWriter(self.store.files, f"{self.store.packs}/{run}") as shard:
                stored = [
                    (group, algorithm, shard.add(encode(model)), gives_probabilities(model))
                    for group in mine
                    for algorithm, model in self._algorithms(slopes[group]).items()
                ]
            for group, algorithm, place, probabilities in stored:
                row = {"partition": partition, "run": run, "group": group, "bucket": bucket, **place._asdict()}
                row |= {
                    "parent": "*" in group,
                    "algorithm": algorithm,
                    "shard": shard.path,
                }
                row |= {
                    "rows": 100,
                    "positives": 25,
                    "prior": 0.25,
                    "features_version": 3,
                    "probabilities": probabilities,
                    "mlflow_run_id": run_ids[algorithm],
                }
                row |= self.known.get(group, {})
                rows.append(row | {"train_from": windows.train.start, "train_to": windows.train.stop})
        models = pa.Table.from_pylist(rows, MODELS)
        self._replace("models", models, partition)
        for algorithm, run_id in run_ids.items() if logged else ():
            digest = models_digest(models.filter(pc.field("algorithm") == algorithm))
            close_run(run_id, {"made": True}, {"groups": len(slopes)}, {MODELS_TAG: digest})
        return run

    def _algorithms(self, slope: Any) -> dict[str, Any]:
        given = slope if isinstance(slope, dict) else {"logistic": slope}
        return {algorithm: self._model(of) for algorithm, of in given.items()}

    def _model(self, slope: Any) -> Any:
        return self.model(slope) if isinstance(slope, int | float) else slope

    def decide(
        self,
        partition: str,
        run: str,
        verdicts: Mapping[str, str],
        against: str | Mapping[str, str] | None = None,
        chosen: Mapping[str, str] = MappingProxyType({}),
        evidence: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write a run's `decisions`, judged against version `against`; `logistic` was chosen, or as `chosen` says.

        `evidence` is every row's, beside what a decision needs at least.
        """
        own = against if isinstance(against, Mapping) else dict.fromkeys(verdicts, against)
        stored = self._digests(run)
        rows = [
            {"partition": partition, "run": run, "group": group, "verdict": verdict, "champion_version": own.get(group)}
            | {
                "algorithm": chosen.get(group, "logistic"),
                "candidate_sha256": stored.get((group, chosen.get(group, "logistic"))),
                "candidate_score": 0.75,
                "metric": "roc_auc",
                "parent": "*" in group,
            }
            | {"bucket": groups.bucket(group, self.workload.features.buckets), **evidence}
            for group, verdict in verdicts.items()
        ]
        self._replace("decisions", pa.Table.from_pylist(rows, DECISIONS), partition)

    def _digests(self, run: str) -> dict[tuple[str, str], str]:
        models = self.store.open("models")
        rows = [] if models is None else dataset(models).to_table(filter=pc.field("run") == run).to_pylist()
        return {(row["group"], row["algorithm"]): row["sha256"] for row in rows}

    def features(self, partition: str, rows: list[dict[str, Any]]) -> None:
        """Write a slice of `features`: rows of `group` and features; the day is the partition's first."""
        at = datetime.fromisoformat(partition).replace(tzinfo=UTC)
        buckets = self.workload.features.buckets
        filled = [
            {"parent": "*" in row["group"], "row_id": f"{number:05}", "time": at, "date": at.date()}
            | {"partition": partition, "bucket": groups.bucket(row["group"], buckets)}
            | row
            for number, row in enumerate(rows)
        ]
        table = pa.Table.from_pylist(filled, features_schema(self.workload))
        write_deltalake(self.store.table("features"), table, mode="append", partition_by=["partition", "bucket"])

    def pack(self, slopes: Mapping[str, Any], partition: str = first) -> BuiltPack:
        """Build the pack of a run in which every group won."""
        run = self.train(partition, slopes, logged=False)
        self.decide(partition, run, dict.fromkeys(slopes, "promote"))
        won = {"algorithm": ["logistic"] * len(slopes), "score": [0.75] * len(slopes)}
        winners = pa.table({"group": list(slopes), **won})
        models = dataset(self.store.open("models")).to_table(filter=pc.field("partition") == partition)
        if self.store.open("features") is None:
            self.features(self.first, [{"group": next(iter(slopes)), "a": 1.0, "b": 0.0, "record": 0.5}])
        return build_pack(self.workload, self.store, date.fromisoformat(partition), models, winners, None)

    def _replace(self, table: str, rows: pa.Table, partition: str) -> None:
        where = {"predicate": f"partition = '{partition}'"} if self.store.open(table) else {}
        write_deltalake(self.store.table(table), rows, mode="overwrite", partition_by=["partition"], **where)


class Registry(Line):
    """A line whose champions are registered in one of the two ways, asked for groups' models alike."""

    def versions(self, *groups: str) -> list[str | None]:
        """Return the version that answers for each group."""
        return [self.position(group) for group in groups]

    def judged(self, **versions: str | None) -> Any:
        """Return what a decision names as champion: of a pack one version, else each group's own."""
        named = {f"{group},X": version for group, version in versions.items()}
        return next(iter(named.values()), None) if self.workload.registry == "pack" else named

    def slopes(self, partition: str, *names: str) -> list[float]:
        """Return the slope of the model that scores each group's slice, by its origin: 1, 2 or 3 by week."""
        weeks = {self.first: 1.0, self.second: 2.0, self.third: 3.0}
        if self.store.open("features") is None:
            slices = (
                {"partition": week, "time": datetime.fromisoformat(week).replace(tzinfo=UTC), "group": group}
                for week in weeks
                for group in (A, B, C)
            )
            row = {"a": 1.0, "b": 0.0, "record": 0.5}
            self.features(self.first, [{**row, **of, "date": of["time"].date()} for of in slices])
        scoring = prepare(self.at(partition))
        asked = {groups.bucket(name, self.workload.features.buckets) for name in names}
        rows = [row for n in asked & set(scoring.features.files) for row in score_bucket(scoring, n).to_pylist()]
        origin = {row["group"]: (row["origin_run"] or "")[:10] for row in rows}
        return [weeks.get(origin[name], 0.0) for name in names]

    def two_weeks(self) -> None:
        """Promote all three groups, then new models of the first."""
        won, judged = dict.fromkeys((A, B, C), "promote"), self.judged(A="1", B="1", C="1")
        self.begin((self.first, won, 1.0, None), (self.second, {A: "promote", B: "reject", C: "hold"}, 2.0, judged))


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A workload with tables of its own and no MLflow."""
    return Line(tmp_path)


@pytest.fixture
def served(line: Line, registry_settings: str) -> Line:
    """A workload with tables of its own, and an MLflow server that the settings name."""
    return line


@pytest.fixture
def grouped(served: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A workload with a registered model a group, an MLflow server, and a folder for temporary files of its own."""
    served.declared |= {"registry": "per_group", "gate": {"baseline": "record", "max_changed": 1.0, "resample": "row"}}
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return served


@pytest.fixture(params=["pack", "per_group"])
def registry(grouped: Line, request: pytest.FixtureRequest) -> Registry:
    """A workload of each kind, on a registry of its own."""
    declared = {**grouped.declared, "registry": request.param}
    return Registry(grouped.root, declared, grouped.name)


def left_behind(line: Line) -> list[Path]:
    """Return the files with models that are left in the folder for temporary files."""
    return [path for path in (line.root / "tmp").rglob("*") if path.is_file()]


@pytest.fixture
def artifact_store(registry_server: str, stack_settings: Settings) -> Path:
    """The folder of the artifacts of the test's MLflow."""
    from tests.registry.fake import ARTIFACTS_OF

    return ARTIFACTS_OF.get(registry_server, stack_settings.home / "mlflow" / "artifacts")


def stored(artifact_store: Path, name: str) -> Path:
    """Return the folder of that name; tests beside this one may add to the store and delete from it meanwhile."""
    return next(Path(parent, name) for parent, folders, _ in os.walk(artifact_store) if name in folders)
