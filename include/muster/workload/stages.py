"""The stages of a workload, in their order: what each reads and writes, and what to do when it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from muster.settings import command
from muster.workload.retrain import EVENTS
from muster.workload.spec import Workload

StageName = Literal["ingest", "features", "train", "evaluate", "promote", "score", "monitor"]


@dataclass(frozen=True)
class Stage:
    """One stage as an operator of the pipeline sees it."""

    name: StageName
    writes: str
    """The asset that it updates: a table, or the champion."""
    does: str
    reads: str
    on_failure: str
    mlflow: bool = True


STAGES: tuple[Stage, ...] = (
    Stage(
        name="ingest",
        writes="observations",
        does="Checks the landed files and replaces their days in `observations`; refused rows go to `quarantine`.",
        reads="what `source` has of each day, up to the end of the partition's slice: files in the landing folder",
        on_failure="The message names the file and what is wrong with it. `observations` is as before; where too many "
        "rows of a day were refused, `quarantine` has them. Have the file delivered again, then clear the task.",
        mlflow=False,
    ),
    Stage(
        name="features",
        writes="features",
        does="Computes the features of each slice, from earlier days only, by hash bucket of the group: of the "
        "partition's own, and of earlier ones that are missing or out of date.",
        reads="`observations`",
        on_failure="A group that the feature function fails for is in the log with its error, and fails nothing unless "
        f"too many do. Try it without Spark: `{command('try')}`. Correct it, then clear the task.",
        mlflow=False,
    ),
    Stage(
        name="train",
        writes="models",
        does="Fits one model a group; `ledger` says how each group ended: trained, skipped or failed, and why.",
        reads="`features`, the training window",
        on_failure="A group that fails is recorded and fails nothing. The run fails when too many do, or when the "
        "counts do not add up: look into `ledger`, then clear the task. Where features are out of date it names them, "
        "and why: clear features instead.",
    ),
    Stage(
        name="evaluate",
        writes="decisions",
        does="Compares each candidate with the champion on the same later rows: promote, hold or reject.",
        reads="`features`, the evaluation window; `models`; the champions",
        on_failure="Nothing was promoted. Clear the task.",
    ),
    Stage(
        name="promote",
        writes="champion",
        does="Registers the winners (in the next pack beside unchanged incumbents, or each alone), moves the alias.",
        reads="`decisions`, `models`, the champions",
        on_failure="`alias_journal` has each move before it is made; the alias shows whether it was. Clearing is safe: "
        "what is registered already is found again, and an alias moves only from the version that was judged.",
    ),
    Stage(
        name="score",
        writes="predictions",
        does="Scores the partition's slice with the champion of its time; skipped where there was none yet.",
        reads="`features`, the partition's slice; the champions",
        on_failure="`predictions` of the partition are as before. Clear the task.",
    ),
)

STAGE_NAMES: tuple[StageName, ...] = tuple(stage.name for stage in STAGES)

MONITOR = Stage(
    name="monitor",
    writes="monitoring",
    does="Compares what the champion answered with the outcomes that are there by now, and the slice's features with "
    "those that it learnt from: degraded, drifted, or neither.",
    reads="`predictions`, `features`, `decisions`; the features of the training window",
    on_failure="`monitoring` of the partition is as before, and nothing was moved or announced. Clear the task.",
    mlflow=False,
)


ALL_STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)
"""Those that some workloads have, too."""


def stages_of(workload: Workload) -> tuple[Stage, ...]:
    """Return the stages that a workload has: `monitor` only where it is declared."""
    return STAGES if workload.monitor is None else (*STAGES, MONITOR)


def stage_names(workload: Workload) -> tuple[StageName, ...]:
    """Return the names of the stages that a workload has."""
    return tuple(stage.name for stage in stages_of(workload))


TRAINING: tuple[StageName, ...] = ("train", "evaluate", "promote")
"""What a partition does not go through that is not trained."""

ARRIVED = "arrived"
"""The asset of partitions whose data have come, or were corrected, where `arrivals` is declared."""

KEPT = "champion_kept"
"""The asset of a partition that is not trained: it is scored by the champion of its time."""


def started_by(workload: Workload, stage: Stage) -> tuple[str, ...]:
    """Return the assets by any of which a stage is started; none for the first where its schedule starts it.

    Without `retrain` each stage is started by what the one before writes. With it, training is also by events, and a
    partition is scored beside it, or once it is known that it is not trained.
    """
    stages, retrain = stages_of(workload), workload.retrain
    number = stages.index(stage)
    before = (stages[number - 1].writes,) if number else ((ARRIVED,) if workload.arrivals else ())
    if retrain is not None and stage.name == "train":
        return (*before, *(cause for cause in retrain.on if cause in EVENTS))
    if retrain is not None and stage.name == "score":
        return (*before, KEPT) if retrain.score_waits else ("features",)
    return before


def leads_to(workload: Workload) -> list[tuple[StageName, StageName]]:
    """Return each stage with one that its asset starts, in their order."""
    stages = stages_of(workload)
    writes = {stage.writes: stage.name for stage in stages}
    pairs = [(asset, stage) for stage in stages for asset in started_by(workload, stage)]
    return [(writes[asset], stage.name) for asset, stage in pairs if asset in writes]


def path_to(workload: Workload, until: StageName, *, trained: bool = True) -> tuple[StageName, ...]:
    """Return the stages that a partition goes through to the end of one; of one that is not trained, without those."""
    path = [until]
    while before := [stage for stage, following in leads_to(workload) if following == path[0]]:
        path.insert(0, before[0])
    return tuple(stage for stage in path if trained or stage not in TRAINING)
