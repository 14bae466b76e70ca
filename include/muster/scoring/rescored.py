"""Which groups' predictions a retry writes anew: its own groups', unless the others' are old as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from muster import groups
from muster.context import PartitionContext
from muster.errors import MusterError
from muster.features.files import FeatureFiles, groups_of
from muster.features.slices import contents
from muster.storage.attempts import partition_ledger
from muster.storage.delta import dataset
from muster.storage.results import stage_results
from muster.workload.spec import Parent, Workload


class NoSuchRetry(MusterError):
    """Raised when a partition has no retry of that name: it was trained as a whole since."""

    def __init__(self, workload: str, partition: str, retry: str) -> None:
        super().__init__(f"{workload} {partition}: the ledger has no retry '{retry}' any more; clear score instead")


def rescored_groups(context: PartitionContext, features: FeatureFiles, retry: str) -> frozenset[str] | None:
    """Return the groups that a retry's models may answer: its own, and those whose parent it has trained.

    None, all of the slice, where nothing was predicted of it yet, where it was built of other rows since it was scored,
    or where a backfill has scored it by today's champion: then every answer may be another now.

    Raises:
        NoSuchRetry: when the ledger has no row of the retry.
    """
    own = partition_ledger(context.store, context.partition).filter(pc.field("run") == retry)
    if not own.num_rows:
        raise NoSuchRetry(context.workload.name, context.partition, retry)
    retried = frozenset(own["group"].to_pylist())
    last = _last_score(context)
    same = last.get("features") == contents(context, context.windows.score, features.version)
    if not _scored(context) or not same or last.get("champion") == "today":
        return None
    if not any(own["parent"].to_pylist()):
        return retried
    there = groups_of(context.workload, features, context.windows.score)
    return retried | {group for group in there if parent_of(context.workload, group) in retried}


def parent_of(workload: Workload, group: str) -> str | None:
    """Return the parent that answers for a group without a model; None where no parent does."""
    fallback = workload.pack.fallback
    if not isinstance(fallback, Parent):
        return None
    return groups.parent_name(workload.keys, groups.values(group), fallback.keys)


def _scored(context: PartitionContext) -> bool:
    table = context.store.open("predictions")
    return table is not None and dataset(table).head(1, filter=pc.field("partition") == context.partition).num_rows > 0


def _last_score(context: PartitionContext) -> Mapping[str, Any]:
    """Return what was reported when the slice was last scored; nothing where no result says of which rows."""
    for result in sorted(stage_results(context.store, "score", context.partition), key=lambda item: item.at)[::-1]:
        if "features" in (report := result.read()):
            return report
    return {}
