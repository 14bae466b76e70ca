"""How far a workload has come, read from the jobs' results in the store: no service is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from muster.champions.errors import NO_VERSION
from muster.champions.journal import Journal
from muster.context import Context, PartitionContext
from muster.errors import MusterError, WorkloadError
from muster.ingest.left_out import left_out
from muster.printable import number
from muster.settings import Settings
from muster.storage.results import SKIPPED, ended, stage_results
from muster.storage.store import Store
from muster.training.cadence import DECISIONS, kept_at, last_trained
from muster.workload.load import declared_files, load_workload
from muster.workload.retrain import Retrain
from muster.workload.spec import Workload
from muster.workload.stages import STAGE_NAMES, StageName, leads_to, stage_names
from muster.workload.windows import DateRange, NotAPartition
from muster_local.waiting import Waiting

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Progress:
    """How far a workload has come."""

    workload: str
    file: str
    """The name of its YAML file."""
    partitions: dict[StageName, str]
    """Stage -> the last partition that it finished, and for which there was work."""
    waiting: list[Waiting]
    """What came to the end of a stage and not of the next, though no earlier than all that did."""
    champion: str | None
    """The version that the alias `Champion` was last moved to."""
    left_out: list[str]
    """The partitions before the last ingested one that no ingest has brought."""
    out_of_date: str | None
    """How many of the slices that the last features looked at are not what would be made now, and why."""
    next_training: str | None = None
    """From which day on a partition is due to be trained again, where not each is."""
    predictions_old: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Partition -> why its predictions are not what score would write now."""
    late: tuple[str, ...] = ()
    """Its deadlines that are missed, a sentence each."""
    not_told: tuple[str, ...] = ()
    """Who was to be told of one of them, and was not yet, a sentence each."""
    watched: bool = False
    """Whether it declares any."""
    refused: str | None = None
    """The first problem of its YAML, which has no DAGs then, and how to see all."""
    unreadable: str | None = None
    """Why what it left in the store cannot be read."""

    @property
    def scored(self) -> str | None:
        """The last scored partition."""
        return self.partitions.get("score")

    @property
    def promoted(self) -> bool:
        """Whether it may have a champion: its journal says so, or, should that be lost, a promotion came to its end."""
        return self.champion is not None or "promote" in self.partitions

    @property
    def judged_since(self) -> bool:
        """Whether the predictions of the last scored partition are of before what it came to since."""
        return any(item.again and item.partition == self.scored for item in self.waiting)

    @property
    def old(self) -> bool:
        """Whether the last scored partition's predictions are not what its stages would come to now."""
        return self.judged_since or self.scored in self.predictions_old


def progress(settings: Settings) -> list[Progress]:
    """Return how far every declared workload has come."""
    return [_progress(file, settings) for file in declared_files(settings.workloads)]


def _progress(file: Path, settings: Settings) -> Progress:
    """Return how far the workload of a file has come; what is wrong with one hides no other."""
    refused = _refused(file)
    try:
        return replace(_read(file, settings), refused=refused)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        return Progress(file.stem, file.name, {}, [], None, [], None, refused=refused, unreadable=why)


def _read(file: Path, settings: Settings) -> Progress:
    name, store = file.stem, Store(settings.store_root, file.stem)
    declared = _declared(file)
    stages = STAGE_NAMES if declared is None else stage_names(declared)
    last = {stage: partition for stage in stages if (partition := _last_worked(store, stage))}
    return Progress(
        name,
        file.name,
        last,
        waiting(store, declared),
        champion(store),
        _of_last(last.get("ingest"), name, settings, left_out) or [],
        _of_last(last.get("features"), name, settings, _out_of_date),
        next_training(store, declared.retrain) if declared and declared.retrain else None,
        _of_last(last.get("score"), name, settings, _predictions_old) or {},
        **_deadlines(name, settings),
    )


def _declared(file: Path) -> Workload | None:
    try:
        return load_workload(file)
    except WorkloadError:  # told beside it
        return None


def _deadlines(name: str, settings: Settings) -> dict[str, Any]:
    """Return whether a workload declares deadlines, and which are missed; nothing where its YAML does not hold."""
    from muster.deadlines.message import late
    from muster.deadlines.missed import look
    from muster.deadlines.told import Told

    try:
        context = Context.named(name, settings)
    except MusterError:
        return {}
    if context.workload.deadlines is None:
        return {}
    told = Told.read(context.store)
    looked = look(context, datetime.now(UTC), told.open)
    sentences = tuple(late(context.workload, one).sentence for one in looked.missed)
    return {"watched": True, "late": sentences, "not_told": tuple(told.not_told())}


def _refused(file: Path) -> str | None:
    """Return the first problem of a workload's file, as Airflow's DAGs are checked."""
    try:
        load_workload(file)
    except WorkloadError as error:
        (where, problem), *others = error.problems
        more = f" (and {len(others)} more)" if others else ""
        return f"{file.name}: {where}: {problem}{more}"
    return None


def _of_last(
    partition: str | None, workload: str, settings: Settings, ask: Callable[[PartitionContext], Answer]
) -> Answer | None:
    """Return what `ask` says of a workload's partition; None without one, or where its YAML or code does not hold."""
    try:
        return None if partition is None else ask(Context.named(workload, settings).at(partition))
    except MusterError:  # Airflow and every stage say so
        return None


def next_training(store: Store, retrain: Retrain) -> str | None:
    """Return from when on a partition is due to be trained; None where none was trained yet."""
    last = last_trained(store)
    return str(last + timedelta(days=retrain.every)) if last else None


def _out_of_date(context: PartitionContext) -> str | None:
    from muster.features.made_from import counted
    from muster.features.slices import out_of_date

    windows = context.windows
    reasons = counted(out_of_date(context, DateRange(windows.history.start, windows.score.stop)).values())
    return "; ".join(f"{count}: {why}" for why, count in reasons.items()) or None


def _predictions_old(context: Context) -> dict[str, tuple[str, ...]]:
    from muster_local.predictions import Predictions, Scored

    scored = []
    for partition in _begun(context.store, "score"):
        ended = _ended(context.store, "score", partition)
        if ended is not None and SKIPPED not in ended[0]:
            with suppress(NotAPartition):  # of another schedule: nobody scores it again
                scored.append(Scored(partition, context.at(partition).windows.score, *ended))
    return Predictions(context, scored).old()


def finished(store: Store, stage: str, partition: str) -> bool:
    """Tell whether a stage has come to its end for a partition."""
    return result(store, stage, partition) is not None


def unfinished(store: Store, partitions: Sequence[str], declared: Workload | None = None) -> list[str]:
    """Return the partitions that were not scored, or that came to an earlier stage's end again since."""
    again = {item.partition for item in waiting(store, declared)}
    return [partition for partition in partitions if partition in again or not finished(store, "score", partition)]


def last_finished(store: Store, stage: str) -> str | None:
    """Return the last partition that a stage has finished."""
    return next((item for item in reversed(_begun(store, stage)) if finished(store, stage, item)), None)


def _last_worked(store: Store, stage: str) -> str | None:
    """Return the last partition that a stage has finished and not skipped: there is nothing of one that it skipped."""
    reports = ((item, result(store, stage, item)) for item in reversed(_begun(store, stage)))
    return next((item for item, report in reports if report is not None and SKIPPED not in report), None)


def waiting(store: Store, declared: Workload | None = None) -> list[Waiting]:
    """Return which partitions have ended a stage and not the next one since.

    Airflow starts a stage when the one before ends, unless its DAG is paused just then; nothing is red, and unpausing
    it later starts what comes afterwards only. A stage that was run again, and whose next one waits for an answer say,
    leaves that with what was right before. Older partitions than the next stage's last are left out: a backfill is not
    promoted. Nor does a partition wait for training that is not to be trained.
    """
    due = []
    retrain = None if declared is None else declared.retrain
    for stage, following in pairwise(STAGE_NAMES) if declared is None else leads_to(declared):
        last = last_finished(store, following) or ""
        for partition in (item for item in _begun(store, stage) if item >= last):
            ended, next_ended = (_event_at(store, stage, partition), ended_at(store, following, partition))
            if ended is not None and (next_ended is None or next_ended < ended):
                if following == "train" and (_kept_at(store, partition) or 0.0) >= ended:
                    continue
                again = next_ended is not None
                due.append(Waiting(store.workload, partition, stage, following, again, ended))
    return due if retrain is None or not retrain.score_waits else [*due, *_kept_and_not_scored(store)]


def _event_at(store: Store, stage: str, partition: str) -> float | None:
    """Return when the event of a stage's last end came; None where it has not ended, or was skipped: then none came."""
    last = _ended(store, stage, partition)
    return None if last is None or SKIPPED in last[0] else last[1]


def _kept_and_not_scored(store: Store) -> list[Waiting]:
    """Return the partitions that were not to be trained, and not scored since that was decided."""
    last = last_finished(store, "score") or ""
    due = []
    for partition in (item for item in _begun(store, DECISIONS) if item >= last):
        decided, scored = _kept_at(store, partition), ended_at(store, "score", partition)
        if decided is not None and (scored is None or scored < decided):
            due.append(Waiting(store.workload, partition, "features", "score", scored is not None, decided))
    return due


def _kept_at(store: Store, partition: str) -> float | None:
    kept = kept_at(store, partition)
    return None if kept is None else kept.timestamp()


def _begun(store: Store, stage: str) -> list[str]:
    return sorted({result.partition for result in stage_results(store, stage)})


def result(store: Store, stage: str, partition: str) -> dict[str, Any] | None:
    """Return what a stage's last attempt on a partition reported that came to its end: one that was put off did not."""
    return (_ended(store, stage, partition) or (None, 0.0))[0]


def ended_at(store: Store, stage: str, partition: str) -> float | None:
    """Return when the last attempt that came to its end did so, in seconds since the epoch."""
    return (_ended(store, stage, partition) or (None, None))[1]


def _ended(store: Store, stage: str, partition: str) -> tuple[dict[str, Any], float] | None:
    last = ended(store, stage, partition)
    return None if last is None else (last.report, last.at.timestamp())


def champion(store: Store) -> str | None:
    """Return the version that `Champion` points to, by the journal; or how many groups have one of their own.

    The last move tells which of the two registries the workload has now.
    """
    moves = [move for move in Journal(store).rows if move["alias"] == "Champion"]
    if not moves or moves[-1]["group"] is None:
        return moves[-1]["to_version"] if moves else None
    last = {move["group"]: move["to_version"] for move in moves if move["group"] is not None}
    own = number(sum(version != NO_VERSION for version in last.values()), "group")
    return f"{own}'{'' if own.endswith('s') else 's'} own"
