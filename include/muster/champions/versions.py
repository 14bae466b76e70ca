"""A registered version as Muster wrote it down: what its tags say, and whether the journal confirms that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from muster.champions.alias import at_alias
from muster.champions.errors import ForeignVersion, NotVouched
from muster.champions.journal import Moves
from muster.champions.lineage import last_row_of, newest_ancestor
from muster.champions.units import Unit
from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect
from muster.storage.store import Store
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

RUN, PARTITION, GROUP, TAKES = (f"muster.{name}" for name in ("run", "partition", "group", "takes"))
"""Tags of a version: the run and partition that it came of; of one group's model, whose it is and what it takes."""
MANIFEST_DIGEST, FOLDER, MODEL_DIGEST = "muster.manifest_sha256", "muster.pack", "muster.sha256"
"""Tags that vouch for bytes: of a pack its manifest's digest, and its folder below the store's root; of one group's
model its stored bytes' digest."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a unit's registered model. Plain data: it travels to the executors."""

    unit: Unit
    version: str
    digest: str
    """Of the pack's manifest, or of the one model's stored bytes."""
    partition: str
    place: str
    """A pack's folder below the store's root, or where the MLflow model of one group is."""
    run: str = ""
    takes: str = ""
    """Of one group's model: a digest of the features that it takes. A pack's manifest says so itself."""

    def folder(self, store: Store) -> Path:
        """Return the pack's folder."""
        return Path(store.root) / self.place


def digest_tag(unit: Unit) -> str:
    """Return the tag by which a unit's version is found again: it has the digest of what is registered."""
    return MANIFEST_DIGEST if unit.group is None else MODEL_DIGEST


def takes(workload: Workload) -> str:
    """Return a digest of the features that models of this workload take, in their order."""
    return hashlib.sha256(json.dumps(list(workload.features.columns)).encode()).hexdigest()[:16]


def described(unit: Unit, registered: ModelVersion) -> RegisteredVersion:
    """Return what a version's tags say of it.

    Raises:
        ForeignVersion: when they lack anything, or are another group's.
    """
    tags, number = dict(registered.tags), str(registered.version)
    needed = (
        (MANIFEST_DIGEST, FOLDER, PARTITION) if unit.group is None else (MODEL_DIGEST, GROUP, RUN, PARTITION, TAKES)
    )
    for tag in needed:
        if tag not in tags:
            raise ForeignVersion(registered.name, number, f"has no tag '{tag}'")
    if tags.get(GROUP) != unit.group:
        raise ForeignVersion(registered.name, number, f"is tagged as the model of group '{tags.get(GROUP)}'")
    place = tags[FOLDER] if unit.group is None else str(registered.source)
    return RegisteredVersion(
        unit, number, tags[digest_tag(unit)], tags[PARTITION], place, tags.get(RUN, ""), tags.get(TAKES, "")
    )


@muster_errors()
def numbered(unit: Unit, number: str, moves: Moves, store: Store) -> RegisteredVersion:
    """Return version `number`, which was champion at some time. One call.

    Raises:
        ForeignVersion, NotVouched: as `current` does.
    """
    return vouched(described(unit, connect().get_model_version(unit.name, number)), moves, store)


def current(unit: Unit, moves: Moves, store: Store) -> RegisteredVersion | None:
    """Return the version behind the alias, or None where none was promoted yet. One call.

    What the registry says is compared with the journal: to change a champion unseen, both would have to be written.

    Raises:
        ForeignVersion: when Muster did not register it.
        NotVouched: when the journal has another digest, or knows of no move to that version.
        MlflowException: when the server does not answer, or answers anything but that there is no such alias.
    """
    registered = at_alias(unit)
    return None if registered is None else vouched(described(unit, registered), moves, store)


def vouched(version: RegisteredVersion, moves: Moves, store: Store) -> RegisteredVersion:
    """Compare what a version's tags say of it with its unit's moves; return it.

    Raises:
        NotVouched: when they differ, or the moves know of none to it.
    """

    def refused(why: str) -> NotVouched:
        return NotVouched(version.unit.workload, version.unit.name, version.version, why)

    row = last_row_of(moves, version.version)
    if row is None:
        raise refused("the journal knows of no move of the alias to it")
    if row["manifest_sha256"] != version.digest:
        tag, written = digest_tag(version.unit), row["manifest_sha256"]
        raise refused(f"its tag '{tag}' is {version.digest[:12]}..., the journal says {written[:12]}...")
    if version.unit.group is None and not version.folder(store).resolve().is_relative_to(Path(store.packs()).resolve()):
        raise refused(f"its tag '{FOLDER}' leads out of the store's packs")
    return version


@dataclass(frozen=True)
class AsOf:
    """How far back a stage looks for a champion."""

    partition: str
    including: bool
    """Whether what was promoted for the partition itself counts."""
    else_current: bool
    """Whether the present champion answers where none is so old."""

    def old_enough(self, partition: str) -> bool:
        """Tell whether a champion of `partition` counts."""
        return partition < self.partition or (self.including and partition == self.partition)

    def champion(self, unit: Unit, moves: Moves, store: Store) -> RegisteredVersion | None:
        """Return the champion of that time: the present one, or the youngest that it came of. One or two calls.

        Raises:
            ForeignVersion, NotVouched: as `current` does.
        """
        present = current(unit, moves, store)
        if present is None or self.old_enough(present.partition):
            return present
        before = newest_ancestor(moves, present.version, self.old_enough)
        if before is None:
            return present if self.else_current else None
        return numbered(unit, before, moves, store)
