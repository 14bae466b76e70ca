"""The champion pack that a partition's candidates are judged against: the one that stood before their own promotion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions import registry
from muster.champions.alias import journal
from muster.champions.lineage import newest_ancestor
from muster.errors import MusterError
from muster.evaluation.bucket import Incumbents
from muster.models.manifest import about, fits, loads_of, read_manifest
from muster.models.reader import CorruptManifest
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows


class BadChampion(MusterError):
    """Raised when the champion's pack is not the one that was registered."""

    def __init__(self, version: str, cause: Exception) -> None:
        super().__init__(f"champion version {version} cannot be judged against: {cause}")


@dataclass(frozen=True)
class Opponents:
    """A champion pack by reference. Plain data: it travels to the executors."""

    version: str
    folder: Path
    manifest_sha256: str
    fits: bool
    """False when its models take other features than the workload has now: then the baseline is the opponent."""

    @contextmanager
    def of(self, groups: pa.Array) -> Iterator[Incumbents]:
        """Give the pack's models of `groups`, the manifest verified.

        By name, not by bucket: the workload may be divided into more buckets now than when the pack was built.
        """
        manifest = read_manifest(self.folder, self.manifest_sha256)
        wanted = manifest.filter(pc.is_in(manifest["group"], groups if self.fits else groups.slice(0, 0)))
        yield Incumbents(self.version, self.folder, wanted, tuple(loads_of(manifest)))


def opponents(workload: Workload, store: Store, windows: PartitionWindows) -> Opponents | None:
    """Return the pack to judge against, or None when there was no champion.

    That is the champion, unless it came of this partition or of a later one: then a stage run again would judge
    candidates against themselves, or against models that have seen the very rows. The journal tells what it came of.

    Raises:
        BadChampion: when the pack's manifest is not the one that was registered.
    """
    champion = registry.current(workload, store)
    if champion is not None and champion.partition >= windows.key:
        champion = _before(workload, store, windows.key, champion)
    if champion is None:
        return None
    try:
        said = about(read_manifest(champion.folder, champion.manifest_sha256))
    except CorruptManifest as error:
        raise BadChampion(champion.version, error) from error
    return Opponents(champion.version, champion.folder, champion.manifest_sha256, fits(said, workload))


def _before(workload: Workload, store: Store, partition: str, champion: registry.Champion) -> registry.Champion | None:
    """Return the youngest pack that the champion came of and that is of an earlier partition."""
    version = newest_ancestor(journal(store), champion.version, lambda key: key < partition)
    if version == champion.version:
        return champion
    return None if version is None else registry.version(workload, store, version)
