"""Where a rollback takes its models from: which version, whether it is sound, whether it fits the workload."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions import registry
from muster.champions.lineage import Moves, made_by, newest_ancestor
from muster.champions.registry import Champion, NotAPack, NotVouched
from muster.errors import MusterError, UnknownName, WrongArgument, bounded
from muster.models.build import BadSource, incumbents, read_models
from muster.models.manifest import about, fits
from muster.models.reader import CorruptManifest
from muster.storage.store import Store
from muster.workload.spec import Workload


class CannotRollBack(MusterError):
    """Raised when there is nothing to go back to, or what there is cannot be scored with."""

    def __init__(self, workload: str, why: str) -> None:
        super().__init__(f"{workload} cannot be rolled back: {why}; nothing was moved")


class NoSuchGroups(WrongArgument):
    """Raised when groups are named that have no model in any of the packs."""

    def __init__(self, groups: Collection[str], where: str) -> None:
        named = bounded(f"'{group}'" for group in sorted(groups))
        super().__init__(f"{len(groups)} groups have no model in {where}: {named}; write them as the tables do")


class Sources(NamedTuple):
    """The earlier models of chosen groups."""

    of: dict[str, str]
    """Group -> the version that says what it had."""
    rows: list[pa.Table]
    """The groups' rows of each version's manifest; none for a group that had no model there."""


class Standing(NamedTuple):
    """What a rollback leaves: a version, and its pack where registry and journal agree on it."""

    version: str
    pack: Champion | None
    problem: str | None
    """Why there is no pack to read."""


def standing(workload: Workload, store: Store, version: str) -> Standing:
    """Find out what stands as `version`: a rollback is the remedy for what nobody vouches for, so it is no error."""
    try:
        return Standing(version, registry.version(workload, store, version), None)
    except (NotVouched, NotAPack) as error:
        return Standing(version, None, str(error))


def whole_target(workload: Workload, store: Store, moves: Moves, standing: str, version: str | None) -> Champion:
    """Return the pack to go back to: `version`, or the champion of before the last promotion.

    From a version that the journal does not know, that is the one which the alias was last moved to by Muster.
    """
    if version is not None:
        return _was_champion(workload, store, moves, version)
    if moves and made_by(moves, standing) is None:
        return _was_champion(workload, store, moves, moves[-1]["to_version"])
    before: str | None = standing
    while (number := made_by(moves, before)) is not None:
        before = moves[number]["from_version"]
        if moves[number]["cause"] == "gate":
            break
    if before in (None, standing):
        why = f"no champion stood before version {standing}, by the journal; name a version"
        raise CannotRollBack(workload.name, why)
    return _was_champion(workload, store, moves, str(before))


def _was_champion(workload: Workload, store: Store, moves: Moves, version: str) -> Champion:
    from mlflow.exceptions import MlflowException

    known = {move["to_version"] for move in moves}
    if version not in known:
        raise UnknownName("earlier champion: version", version, known)
    try:
        return registry.version(workload, store, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise CannotRollBack(workload.name, f"version {version} is no longer registered") from error


def group_sources(
    workload: Workload, store: Store, moves: Moves, champion: Champion, before: pa.Table, asked: Mapping[str, Any]
) -> Sources:
    """Return the earlier models of the groups that are `asked` for.

    Without a version, a group goes back to what it had before its present model was promoted: by that model's
    partition, so groups that were promoted together come from the same version.
    """
    groups, version = asked["groups"], asked["version"]
    today = {row["group"]: row["origin_partition"] for row in before.select(["group", "origin_partition"]).to_pylist()}
    if version is not None:
        of = dict.fromkeys(groups, version)
    else:
        if unknown := set(groups) - today.keys():
            raise NoSuchGroups(unknown, f"version {champion.version}")
        of = _before_their_models(workload, moves, champion, {group: today[group] for group in groups})
    rows = []
    for number in sorted(set(of.values())):
        manifest = opened(workload, store, _was_champion(workload, store, moves, number))
        mine = pa.array([group for group, source in of.items() if source == number], pa.string())
        rows.append(manifest.filter(pc.is_in(manifest["group"], value_set=mine)))
        _check_models(workload, store, rows[-1])
    had = {group for table in rows for group in table["group"].to_pylist()}
    if unknown := set(groups) - today.keys() - had:
        raise NoSuchGroups(unknown, f"version {champion.version} and in version {version}")
    return Sources(of, rows)


def _before_their_models(
    workload: Workload, moves: Moves, champion: Champion, partitions: Mapping[str, str]
) -> dict[str, str]:
    by = {key: newest_ancestor(moves, champion.version, key.__gt__) for key in set(partitions.values())}
    first = sorted(group for group, key in partitions.items() if by[key] in (None, champion.version))
    if first:
        why = f"no champion stood before the models of {len(first)} groups: {bounded(first)}; name a version"
        raise CannotRollBack(workload.name, why)
    return {group: str(by[key]) for group, key in partitions.items()}


def opened(workload: Workload, store: Store, pack: Champion, models: bool = False) -> pa.Table:
    """Return a pack's verified manifest, its shards as paths below the store's root; with `models`, all bytes verified.

    Raises:
        CannotRollBack: when the pack is missing, corrupt, or takes other keys or features than the workload has now.
    """
    try:
        manifest = incumbents(store, pack.folder, pack.manifest_sha256)
    except CorruptManifest as error:
        raise CannotRollBack(workload.name, f"version {pack.version}: {error}") from error
    if not fits(about(manifest), workload):
        why = (
            f"version {pack.version} takes other keys or features than the workload has now, so nothing could be scored"
        )
        raise CannotRollBack(workload.name, why)
    if models:
        _check_models(workload, store, manifest)
    return manifest


def _check_models(workload: Workload, store: Store, rows: pa.Table) -> None:
    try:
        for _ in read_models(Path(store.root), rows):
            pass
    except BadSource as error:
        raise CannotRollBack(workload.name, str(error)) from error
