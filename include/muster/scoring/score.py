"""Score: predictions of a slice's rows with the champion, bucket by bucket, as the gateway would answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.champions import registry
from muster.champions.alias import journal
from muster.champions.lineage import newest_ancestor
from muster.champions.registry import Champion
from muster.errors import MusterError, bounded
from muster.features.files import FeatureFiles, list_features, read_bucket
from muster.models.manifest import fits
from muster.models.reader import Answers, Pack
from muster.storage.store import Store
from muster.storage.tables import PREDICTIONS
from muster.workload.spec import Workload
from muster.workload.windows import DateRange, PartitionWindows


class CannotScore(MusterError):
    """Raised when the champion cannot answer for a slice."""

    def __init__(self, workload: str, partition: str, why: str) -> None:
        super().__init__(f"{workload} {partition} cannot be scored: {why}")


@dataclass(frozen=True)
class Slice:
    """What is scored. Plain data: it travels to the executors."""

    features: FeatureFiles
    days: DateRange
    partition: str
    at: datetime


@dataclass(frozen=True)
class Scoring(Slice):
    """What is scored with which pack."""

    champion: Champion

    @property
    def model_version(self) -> str:
        """The version that scores every group."""
        return self.champion.version

    @property
    def costs(self) -> dict[int, float]:
        """What each bucket costs: its rows."""
        return dict(self.features.rows)


def prepare(workload: Workload, store: Store, windows: PartitionWindows) -> Scoring:
    """Find the champion and the rows to score.

    Raises:
        CannotScore: when there is no champion, when it takes other features, or when groups have no model and the
            declared fallback is `error`.
        NoFeatures: when the slice has no rows.
    """
    champion = registry.current(workload, store)
    if champion is None:
        raise CannotScore(workload.name, windows.key, "there is no champion yet; promote one first")
    champion = _of_its_time(workload, store, windows, champion)
    features = list_features(workload, store, windows.score)
    scoring = Scoring(features, windows.score, windows.key, datetime.now(UTC), champion)
    said = open_pack(workload, champion).about
    if not fits(said, workload):
        why = f"champion version {champion.version} takes other keys or features; train, evaluate and promote first"
        raise CannotScore(workload.name, windows.key, why)
    if said["fallback"] == "error" and (missing := _without_model(workload, scoring)):
        named = bounded(f"'{group}'" for group in missing)
        why = f"{len(missing)} groups have no model and the pack's fallback is 'error': {named}"
        raise CannotScore(workload.name, windows.key, why)
    return scoring


def _of_its_time(workload: Workload, store: Store, windows: PartitionWindows, champion: Champion) -> Champion:
    """Return the pack that was champion for the slice: a later partition's was elected on the slice's own rows.

    So a slice scored again gets the same predictions, until a rollback takes back what made them. Where none is as old
    as the slice, the champion answers.
    """
    if champion.partition <= windows.key:
        return champion
    version = newest_ancestor(journal(store), champion.version, lambda key: key <= windows.key)
    return registry.version(workload, store, version) if version not in (None, champion.version) else champion


def open_pack(workload: Workload, champion: Champion) -> Pack:
    """Open the champion's pack; a process that scores bucket after bucket opens it once."""
    return _open(champion.folder, champion.manifest_sha256, workload.pack.cache_bytes)


@lru_cache(maxsize=2)
def _open(folder: Path, sha256: str, cache_bytes: int) -> Pack:
    return Pack(folder, sha256, cache_bytes)


def _without_model(workload: Workload, scoring: Scoring) -> list[str]:
    pack, found = open_pack(workload, scoring.champion), set()
    for files in scoring.features.files.values():
        found.update(read_bucket(workload, files, scoring.days, ["group"], parents=False)["group"].unique().to_pylist())
    return sorted(pack.without_model(found))


def score_bucket(workload: Workload, scoring: Scoring, bucket: int) -> pa.Table:
    """Return PREDICTIONS of one bucket's rows; only the models that answer for them are loaded."""
    rows = rows_to_score(workload, scoring, bucket)
    answers = answer(workload, open_pack(workload, scoring.champion), rows)
    return predictions(scoring, bucket, rows, answers, pa.repeat(scoring.champion.version, rows.num_rows))


def rows_to_score(workload: Workload, scoring: Slice, bucket: int) -> pa.Table:
    """Return a bucket's rows of the slice, sorted by group and time."""
    columns = list(workload.features.columns)
    return read_bucket(workload, scoring.features.files.get(bucket, []), scoring.days, columns, parents=False)


def answer(workload: Workload, pack: Pack, rows: pa.Table) -> Answers:
    """Return the pack's answers for rows of any groups."""
    matrix = np.column_stack([rows[name].to_numpy() for name in workload.features.columns])
    features = matrix.astype(np.float64, copy=False)
    return pack.answer(rows["group"].combine_chunks(), features, partial(parent_of, pack.about))


def parent_of(about: dict[str, Any], group: str) -> str:
    """Return the group's parent as the pack has it, whatever the workload declares by now."""
    return groups.parent_name(list(about["keys"]), groups.values(group), about["parent_keys"])


def predictions(scoring: Slice, bucket: int, rows: pa.Table, answers: Answers, versions: pa.Array) -> pa.Table:
    """Return PREDICTIONS of rows, answered by models of `versions`."""
    same = {
        "partition": scoring.partition,
        "bucket": bucket,
        "features_version": scoring.features.version,
        "scored_at": scoring.at,
    }
    columns = {name: rows[name] for name in ("group", "row_id", "time")}
    columns |= {name: pa.array(values, PREDICTIONS.field(name).type) for name, values in answers._asdict().items()}
    columns["model_version"] = versions
    columns |= {
        name: pa.repeat(pa.scalar(value, PREDICTIONS.field(name).type), rows.num_rows) for name, value in same.items()
    }
    return pa.table(columns).select(PREDICTIONS.names).cast(PREDICTIONS)


def count_predictions(store: Store, partition: str) -> dict[str, Any]:
    """Count a partition's predictions by who answered, batch by batch: rows, groups, own, fallback's reasons."""
    rows, names, reasons = 0, set(), Counter[str]()
    table = store.open("predictions")
    if table is not None:
        of_partition = pc.field("partition") == partition
        scanner = table.to_pyarrow_dataset().scanner(columns=["group", "fallback"], filter=of_partition)
        for batch in scanner.to_batches():
            rows += batch.num_rows
            names.update(batch.column("group").unique().to_pylist())
            counted = pc.value_counts(batch.column("fallback").drop_null()).to_pylist()
            reasons.update({item["values"]: item["counts"] for item in counted})
    return {"rows": rows, "groups": len(names), "own": rows - reasons.total(), "fallback": dict(reasons)}
