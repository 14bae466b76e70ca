"""Score with each group's own champion: fetched by the executors, verified, and gone from their disks when they end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from muster import groups
from muster.errors import bounded
from muster.features.files import list_features, read_bucket
from muster.models.reader import Pack
from muster.per_group.scratch import scratch
from muster.per_group.standing import Standing, prior, standing, write_local_pack
from muster.scoring.score import CannotScore, Slice, answer, predictions, rows_to_score
from muster.storage.store import Store
from muster.workload.spec import Parent, Workload
from muster.workload.windows import PartitionWindows

ROWS_OF_A_FETCH = 20_000
"""What fetching and loading a group's model costs, in rows scored: three calls to MLflow, some 0.1 s."""


@dataclass(frozen=True)
class GroupScoring(Slice):
    """What is scored with which groups' champions."""

    standing: Standing
    prior: float
    costs: dict[int, float]
    """What each bucket costs: its rows, and the fetching of its groups' models."""
    model_version: None = None
    """Every group has its own."""


def prepare(workload: Workload, store: Store, windows: PartitionWindows) -> GroupScoring:
    """Find the groups with champions, and the rows to score.

    Raises:
        CannotScore: when there is no champion, or when groups have none and the declared fallback is `error`.
        NoFeatures: when the slice has no rows.
    """
    counted = standing(workload, store, windows.key, including=True)
    if not counted.moves:
        raise CannotScore(workload.name, windows.key, "no group has a champion yet; promote some first")
    features = list_features(workload, store, windows.score)
    fetched = Counter(groups.bucket(group, workload.features.buckets) for group in counted.moves)
    costs = {bucket: float(rows + ROWS_OF_A_FETCH * fetched[bucket]) for bucket, rows in features.rows.items()}
    at = datetime.now(UTC)
    share = prior(counted.moves, windows.key)
    scoring = GroupScoring(features, windows.score, windows.key, at, counted, share, costs)
    if workload.pack.fallback == "error" and (missing := _without_champion(workload, scoring)):
        named = bounded(f"'{group}'" for group in missing)
        why = f"{len(missing)} groups have no model and the fallback is 'error': {named}"
        raise CannotScore(workload.name, windows.key, why)
    return scoring


def _without_champion(workload: Workload, scoring: GroupScoring) -> list[str]:
    found: set[str] = set()
    for files in scoring.features.files.values():
        found.update(read_bucket(workload, files, scoring.days, ["group"], parents=False)["group"].unique().to_pylist())
    return sorted(found - scoring.standing.moves.keys())


def score_bucket(workload: Workload, scoring: GroupScoring, bucket: int) -> pa.Table:
    """Return PREDICTIONS of one bucket's rows; only the models that answer for them are fetched."""
    rows = rows_to_score(workload, scoring, bucket)
    own = rows["group"].unique().to_pylist()
    parents = {group: _parent(workload, group) for group in own}
    with scratch() as folder:
        found = scoring.standing.fetch(sorted({*own, *(name for name in parents.values() if name)}), folder)
        digest = write_local_pack(scoring.standing, found, scoring.prior, folder)
        answers = answer(workload, Pack(folder, digest, workload.pack.cache_bytes), rows)
    versions = {one.group: one.version for one, _ in found}
    answered = [versions.get(group) or versions.get(parents[group] or "") for group in own]
    by_group = dict(zip(own, answered, strict=True))
    told = zip(rows["group"].to_pylist(), answers.origin_run, strict=True)
    return predictions(
        scoring, bucket, rows, answers, pa.array([by_group[group] if run else None for group, run in told], pa.string())
    )


def _parent(workload: Workload, group: str) -> str | None:
    fallback = workload.pack.fallback
    if not isinstance(fallback, Parent):
        return None
    return groups.parent_name(workload.keys, groups.values(group), fallback.keys)
