"""A registered version as Muster wrote it down: what its tags say, and whether the journal confirms that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from muster.champions.alias import WORKLOAD, at_alias
from muster.champions.errors import (
    FILES_GONE,
    NO_DIGEST,
    AliasGone,
    ForeignVersion,
    JournalGone,
    NameTaken,
    NotVouched,
    VersionGone,
)
from muster.champions.journal import Journal, Moves, Row, evidence_of
from muster.champions.lineage import champion_of, last_row_of, same_bytes
from muster.champions.units import Unit
from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect
from muster.mlflow.runs import find_experiment
from muster.models.build import pack_folder
from muster.models.scores import BINARY
from muster.storage.store import Store
from muster.workload.outcome import Outcome
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

Found = TypeVar("Found")

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
    keys: tuple[str, ...] = ()
    """Of one group's model: the keys that its group is a value of, in order; none where nobody wrote them down."""
    deleted: bool = False
    """Whether somebody deleted it from the registry: the journal and the stored files say what it was."""

    def fits(self, workload: Workload) -> bool:
        """Tell whether a group's model takes the keys and features that the workload has now."""
        return fits_today(workload, {"takes": self.takes} | ({"keys": list(self.keys)} if self.keys else {}))


def digest_tag(unit: Unit) -> str:
    """Return the tag by which a unit's version is found again: it has the digest of what is registered."""
    return MANIFEST_DIGEST if unit.group is None else MODEL_DIGEST


def takes(features: Iterable[str], outcome: Outcome | None = None) -> str:
    """Return a digest of the features that a model takes, in their order, and of the scale and column of its answers.

    Of yes and no the features alone: another threshold is judged by the gate.
    """
    parts: list[Any] = [*features]
    if outcome is not None and outcome.scale != BINARY:
        parts.append({"scale": outcome.scale, "column": outcome.predicted})
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def taken_by(workload: Workload) -> dict[str, Any]:
    """Return what the journal writes down of a group's model: which keys and features it takes."""
    return {"takes": takes(workload.features.columns, workload.outcome), "keys": list(workload.keys)}


def fits_today(workload: Workload, evidence: Mapping[str, Any]) -> bool:
    """Tell whether a group's model takes the keys and features that the workload has now, by the journal's evidence.

    What that does not say, as a journal of an older Muster, is no reason against it.
    """
    return all(evidence.get(name, now) == now for name, now in taken_by(workload).items())


def check_owner(unit: Unit, tags: Mapping[str, str]) -> None:
    """Check by its tags that a registered model, or a version, is of the unit's workload; without tags it may be.

    A group's model and another workload's pack may have one name: group `2024` of `flights`, and `flights_2024`.

    Raises:
        NameTaken: when it is another workload's.
    """
    owner = unit.name if FOLDER in tags else tags.get(WORKLOAD, unit.workload)  # a pack is called as its workload
    if owner != unit.workload:
        raise NameTaken(unit.name, unit.workload, owner, tags.get(GROUP))


def described(unit: Unit, registered: ModelVersion) -> RegisteredVersion:
    """Return what a version's tags say of it.

    Raises:
        NameTaken: when it is another workload's.
        ForeignVersion: when they lack anything, or are another group's.
    """
    tags, number = dict(registered.tags), str(registered.version)
    check_owner(unit, tags)
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
    """Return the version that has this number, or had it last; whoever deleted it since. One call.

    Raises:
        ForeignVersion, NotVouched: as `current` does.
        VersionGone: when it is deleted, and its files are, or nothing in MLflow vouches for them.
    """
    registered = where_there(lambda: connect().get_model_version(unit.name, number))
    row = last_row_of(moves, number)
    if registered is not None:
        return vouched(described(unit, registered), row, store)
    if row is None:
        raise VersionGone(unit.name, number, FILES_GONE)
    return _deleted(unit, row, store)


def of_move(unit: Unit, row: Row, moves: Moves, store: Store) -> RegisteredVersion:
    """Return the champion that a move made: its version's number may be another's now, then it is deleted. One call.

    Raises:
        ForeignVersion, NotVouched, VersionGone: as `numbered` does.
    """
    number = row["to_version"]
    if not same_bytes(last_row_of(moves, number), row):
        return _deleted(unit, row, store)
    version = numbered(unit, number, moves, store)
    return version if version.deleted else as_journalled(version, row)


@muster_errors()
def _deleted(unit: Unit, row: Row, store: Store) -> RegisteredVersion:
    """Return the version of a move that is not registered any more, where MLflow vouches for it nevertheless."""
    return _deleted_pack(unit, row, store) if unit.group is None else _deleted_model(unit, row)


def _deleted_pack(unit: Unit, row: Row, store: Store) -> RegisteredVersion:
    """Return the pack of a move: its folder in the store is named by its digest. Two calls, one of them a search.

    The journal and the pack are both in the store: what vouches for them is the digest that the logged model bears, for
    as long as MLflow has that.
    """
    client, digest = connect(), row["manifest_sha256"]
    experiment = find_experiment(client, unit.workload)
    logged = f"tags.`{MANIFEST_DIGEST}` = '{digest}'"
    if experiment is None or not client.search_logged_models([experiment], logged):
        raise VersionGone(unit.name, row["to_version"], NO_DIGEST)
    place = pack_folder(store, digest)
    return RegisteredVersion(unit, row["to_version"], digest, row["partition"], place, row["run"], deleted=True)


def _deleted_model(unit: Unit, row: Row) -> RegisteredVersion:
    """Return a group's model of a move: its files are below the MLflow run that trained it. One call, or two.

    So MLflow has the very bytes, or had them; whoever fetches them compares them with the digest.
    """
    from mlflow.models import get_model_info

    evidence, digest = evidence_of(row), row["manifest_sha256"]
    run = where_there(lambda: connect().get_run(evidence["mlflow_run_id"]))
    if run is None:
        raise VersionGone(unit.name, row["to_version"], FILES_GONE)
    place = place_below(str(run.info.artifact_uri), unit, digest)
    if (taken := evidence.get("takes")) is None:  # a move of before they said so
        signature = get_model_info(place).signature
        taken = takes(signature.inputs.input_names()) if signature else ""
    version = RegisteredVersion(unit, row["to_version"], digest, row["partition"], place, row["run"], deleted=True)
    return replace(as_journalled(version, row), takes=taken)


def place_below(uploads: str, unit: Unit, digest: str) -> str:
    """Return where a group's model is among the artifacts of the MLflow run that trained it."""
    return f"{uploads}/groups/{unit.name.rpartition('.')[2]}-{digest[:12]}"


def where_there(look: Callable[[], Found]) -> Found | None:
    """Return what is looked for in MLflow; None where MLflow says that it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        return look()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def current(unit: Unit, journal: Journal, store: Store) -> RegisteredVersion | None:
    """Return the version behind the alias, or None where none was promoted yet. One call.

    What the registry says is compared with the journal: to change a champion unseen, both would have to be written.
    The journal is read again where the alias was moved since: then it is as new as what is returned.

    Raises:
        AliasGone: when there is no version behind it, though the journal knows of a champion.
        ForeignVersion: when Muster did not register it.
        NotVouched: when the journal has another digest, or knows of no move to that version.
        JournalGone: when it knows of no move at all.
        MlflowException: when the server does not answer, or answers anything but that there is no such alias.
    """
    registered = at_alias(unit)
    if registered is not None:
        version = described(unit, registered)
        moves = journal.moves_to(unit, version.version, version.digest)
        if not moves:
            raise JournalGone.shown(unit.workload, unit.name, version.version)
        return vouched(version, last_row_of(moves, version.version), store)
    if (champion := champion_of(journal.of(unit))) is not None:
        raise AliasGone(unit.workload, unit.name, unit.group, champion)
    return None


def vouched(version: RegisteredVersion, row: Row | None, store: Store) -> RegisteredVersion:
    """Compare what a version's tags say of it with the latest move to it; return the champion that the move made.

    Raises:
        NotVouched: when they differ, or there is no such move.
    """

    def refused(why: str) -> NotVouched:
        return NotVouched(version.unit.workload, version.unit.name, version.version, why)

    if row is None:
        raise refused("the journal knows of no move of the alias to it")
    if row["manifest_sha256"] != version.digest:
        tag, written = digest_tag(version.unit), row["manifest_sha256"]
        raise refused(f"its tag '{tag}' is {version.digest[:12]}..., the journal says {written[:12]}...")
    if version.unit.group is None and not _is_below(version.place, store.packs):
        raise refused(f"its tag '{FOLDER}' leads out of the store's packs")
    return as_journalled(version, row)


def _is_below(place: str, folder: str) -> bool:
    path = PurePosixPath(place)
    return ".." not in path.parts and path.is_relative_to(folder)


def as_journalled(version: RegisteredVersion, row: Row) -> RegisteredVersion:
    """Return a version as the champion that a move made it: of that move's run and partition, whatever its tags say.

    A version is tagged once, and a later partition may come to the very bytes; and anybody may edit tags.
    """
    evidence = evidence_of(row)
    taken, keys = evidence.get("takes", version.takes), tuple(evidence.get("keys", ()))
    return replace(version, partition=row["partition"], run=row["run"], takes=taken, keys=keys)
