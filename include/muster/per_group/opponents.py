"""The champions that candidates are judged against, where every group has a registered model of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from muster.evaluation.bucket import Incumbents
from muster.models.manifest import loads_of, read_manifest
from muster.per_group.scratch import scratch
from muster.per_group.standing import Standing, standing, write_local_pack
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows


@dataclass(frozen=True)
class GroupOpponents:
    """Each group's champion of before the partition. Plain data: it travels to the executors."""

    standing: Standing
    version: None = None
    """Every group has its own."""

    @contextmanager
    def of(self, groups: pa.Array) -> Iterator[Incumbents]:
        """Fetch the champions of `groups`; their files are gone when the judging ends."""
        with scratch() as folder:
            found = self.standing.fetch(groups.to_pylist(), folder)
            digest = write_local_pack(self.standing, found, 0.0, folder)
            versions = {one.group: one.version for one, _ in found}
            manifest = read_manifest(folder, digest)
            yield Incumbents(None, folder, manifest, tuple(loads_of(manifest)), versions)


def opponents(workload: Workload, store: Store, windows: PartitionWindows) -> GroupOpponents | None:
    """Return whom to judge against, or None where no group was ever promoted.

    That is each group's champion, unless it came of this partition or of a later one: then what it came of.
    """
    counted = standing(workload, store, windows.key, including=False)
    return GroupOpponents(counted) if counted.moves else None
