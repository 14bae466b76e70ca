"""Which version of each group's model counts for a stage: the alias, seen in the light of the journal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from muster.champions.journal import journal
from muster.champions.lineage import evidence_of, newest_ancestor
from muster.champions.registry import NotVouched
from muster.models.build import SHARD
from muster.models.loading import CorruptModel
from muster.models.manifest import MANIFEST, describe, write_manifest
from muster.per_group.access import Access
from muster.per_group.champions import GroupChampion, champion, stored_bytes, takes
from muster.per_group.names import model_names
from muster.settings import settings
from muster.storage.store import Store
from muster.workload.spec import Workload

Moves = Sequence[Mapping[str, Any]]
Found = tuple[GroupChampion, bytes]


def moves_by_group(store: Store) -> dict[str, list[Mapping[str, Any]]]:
    """Return each group's own moves, the latest last."""
    return by_group(journal(store))


def by_group(moves: Moves) -> dict[str, list[Mapping[str, Any]]]:
    """Return each group's own of a journal's moves, in their order."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for move in moves:
        if move["group"] is not None:
            found.setdefault(move["group"], []).append(move)
    return found


def prior(moves: Mapping[str, Moves], partition: str) -> float:
    """Return the share of positives in the training rows of all groups' champions, as a pack of them would have it.

    Of the champions at `partition`; where none is so old, of today's.
    """
    then = {group: [move for move in of_group if move["partition"] <= partition] for group, of_group in moves.items()}
    known: list[Moves] = [of_group for of_group in then.values() if of_group]
    known = known or list(moves.values())
    told = [evidence_of(of_group[-1]) for of_group in known]
    own = [item for item in told if not item.get("parent")] or told
    rows = sum(item.get("rows") or 0 for item in own)
    return sum(item.get("positives") or 0 for item in own) / rows if rows else 0.0


@dataclass(frozen=True)
class Standing:
    """Every group's moves, and how far back a stage looks. Plain data: it travels to the executors."""

    workload: Workload
    moves: Mapping[str, Moves]
    names: Mapping[str, str]
    access: Access
    before: str
    """Only what was promoted for this partition counts, or for an earlier one."""
    including: bool
    """Whether what was promoted for `before` itself counts."""
    nothing_so_old: bool
    """Whether no group was promoted so early."""

    def of(self, group: str) -> GroupChampion | None:
        """Return the version that counts for a group; None where it has none, or one that takes other features.

        One call, another where the champion is too young.

        Raises:
            NotVouched: when the journal does not confirm what a version's tags say of it.
        """
        if group not in self.moves:
            return None
        name, moves = self.names[group], self.moves[group]
        found = champion(name, group)
        if found is None or not self._old_enough(found.partition):
            version = newest_ancestor(moves, found.version, self._old_enough) if found else None
            if version is not None and found is not None and version != found.version:
                found = champion(name, group, version)
            elif not (self.including and self.nothing_so_old):  # a slice from before all promotions
                found = None
        if found is None or found.takes != takes(self.workload):
            return None
        vouch(found, moves)
        return found

    def _old_enough(self, partition: str) -> bool:
        return partition < self.before or (self.including and partition == self.before)

    def fetch(self, groups: Collection[str], folder: Path) -> list[Found]:
        """Return what counts for each of some groups, with its stored bytes: each group in its own moment.

        Bytes that cannot be had are empty: whoever checks them refuses them.
        """
        found = []
        with self.access():
            for group in self.access.in_turn([group for group in groups if group in self.moves]):
                self.access.wait_for(group)
                one = self.of(group)
                if one is not None:
                    found.append((one, _bytes(one, folder)))
        return found


def _bytes(found: GroupChampion, folder: Path) -> bytes:
    try:
        return stored_bytes(found, folder)
    except CorruptModel:
        return b""


def vouch(found: GroupChampion, moves: Moves) -> None:
    """Compare what a version's tags say of it with the group's moves.

    Raises:
        NotVouched: when they tell another digest, or know of no move to it.
    """
    told = [move["manifest_sha256"] for move in moves if move["to_version"] == found.version]
    if not told:
        raise NotVouched(found.name, found.version, f"alias_journal knows of no move of '{found.group}' to it")
    if told[-1] != found.sha256:
        why = f"it is tagged with the model {found.sha256[:12]}..., alias_journal says {told[-1][:12]}..."
        raise NotVouched(found.name, found.version, why)


def standing(workload: Workload, store: Store, before: str, *, including: bool) -> Standing:
    """Return what the journal knows, for a stage of partition `before`."""
    moves = moves_by_group(store)
    access = Access.of_driver(settings(), len(moves))
    oldest = min((of_group[0]["partition"] for of_group in moves.values()), default="")
    return Standing(workload, moves, model_names(workload.name, moves), access, before, including, oldest > before)


def write_local_pack(counted: Standing, found: Sequence[Found], prior: float, folder: Path) -> str:
    """Write models as a pack of one shard into `folder`; return its digest.

    What they may name is what the journal says of them: an earlier workload may have declared other steps.
    """
    workload = counted.workload
    carried = {name for one, _ in found for move in counted.moves[one.group] for name in evidence_of(move)["loads"]}
    offset, rows = 0, []
    with (folder / SHARD.format(0)).open("wb") as shard:
        for one, data in sorted(found, key=lambda item: item[0].group):
            place = {"shard": SHARD.format(0), "offset": offset, "length": len(data), "sha256": one.sha256}
            rows.append({"group": one.group, "origin_run": one.run, "origin_partition": one.partition, **place})
            offset += shard.write(data)
    table = pa.Table.from_pylist(rows, MANIFEST)
    newest = max((one.partition for one, _ in found), default="")
    said = describe(workload, table, workload.schedule.start, newest, sorted(carried)) | {"prior": prior}
    return write_manifest(folder, table, said)
