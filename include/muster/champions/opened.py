"""The champions that a stage judges against or scores with: one pack, or each group's own model, fetched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.access import Access
from muster.champions.as_of import AsOf, to_score
from muster.champions.errors import BadChampion
from muster.champions.fetched import (
    Fetched,
    Scale,
    all_give_probabilities,
    fetch_champions,
    loads_of,
    prior,
    write_pack_of,
)
from muster.champions.journal import Journal, Moves, Row, evidence_of
from muster.champions.lineage import left_without
from muster.champions.units import is_pack, units
from muster.champions.unrecorded import check_all_recorded, check_begun
from muster.champions.versions import RegisteredVersion, fits_today
from muster.context import Context, PartitionContext
from muster.evaluation.bucket import Incumbents
from muster.models.feature_rows import answering_baseline
from muster.models.manifest import allowed_imports_of, fits
from muster.models.manifest_reader import CorruptManifest, about, read_manifest
from muster.models.reader import Pack
from muster.settings import settings
from muster.storage.files import Files
from muster.storage.store import Store
from muster.workload.imported_from import emptied_with_modules
from muster.workload.spec import Parent


@dataclass(frozen=True)
class OpenPack:
    """Champions as a pack: of the store, or in a folder of this machine."""

    files: Files
    folder: str
    """Below the root of the files."""
    digest: str
    version: str | None
    """Of the registered model that holds all groups; None where each group has its own."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Each group's own."""
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Of groups whose own champion takes other keys or features than today: no model, but what is replaced."""
    fits: bool = True
    """Whether the models take the features that the workload has now."""

    def incumbents(self, groups: pa.Array) -> Incumbents:
        """Return the models of `groups`, the manifest verified; none where they take other features.

        By name, not by bucket: the workload may be divided into more buckets now than when the pack was built.
        """
        read = verified_manifest if self.version else read_manifest
        manifest = read(self.files, self.folder, self.digest)
        rows = manifest.filter(pc.is_in(manifest["group"], groups if self.fits else groups.slice(0, 0)))
        return Incumbents(
            self.version, self.files, rows, tuple(allowed_imports_of(manifest)), {**self.unfit, **self.versions}
        )

    def reader(self, cache_bytes: int) -> Pack:
        """Open the pack for scoring; a process that scores bucket after bucket opens a registered one once."""
        if self.version:
            return _opened(self.files, self.folder, self.digest, cache_bytes)
        return Pack(self.files, read_manifest(self.files, self.folder, self.digest), cache_bytes)


@lru_cache(maxsize=2)
def verified_manifest(files: Files, folder: str, digest: str) -> pa.Table:
    """Return a registered pack's manifest: a process that asks again, bucket after bucket, reads and merges it once."""
    return read_manifest(files, folder, digest)


@emptied_with_modules
@lru_cache(maxsize=2)
def _opened(files: Files, folder: str, digest: str, cache_bytes: int) -> Pack:
    return Pack(files, verified_manifest(files, folder, digest), cache_bytes)


class Champions(Protocol):
    """What a stage asks of the champions. Plain data: it travels to the executors."""

    @property
    def version(self) -> str | None:
        """The version that is champion to every group; None where each has its own."""

    @property
    def fits(self) -> bool:
        """Whether a pack takes the keys and features that the workload has now, or any group's own model does: one that
        does not is no champion."""

    @property
    def fallback(self) -> str:
        """What answers for a group without a model."""

    @property
    def to_fetch(self) -> Collection[str]:
        """The groups whose models are fetched from MLflow when they are opened."""

    @property
    def loads(self) -> Sequence[str]:
        """What their models may name: their code has to be where they are opened."""

    def without_model(self, groups: Collection[str]) -> list[str]:
        """Return those of the groups that have no champion of the time that takes today's features, sorted."""

    def open(self, groups: Collection[str]) -> AbstractContextManager[OpenPack]:
        """Give the champions of some groups for as long as they are used."""


@dataclass(frozen=True)
class PackChampions:
    """One pack by reference."""

    champion: RegisteredVersion
    store: Store
    fits: bool
    fallback: str
    to_fetch: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return self.champion.version

    @property
    def loads(self) -> Sequence[str]:
        return allowed_imports_of(self._manifest())

    def without_model(self, groups: Collection[str]) -> list[str]:
        return sorted(set(groups) - set(self._manifest()["group"].to_pylist()))

    def _manifest(self) -> pa.Table:
        return verified_manifest(self.store.files, self.champion.place, self.champion.digest)

    @contextmanager
    def open(self, groups: Collection[str]) -> Iterator[OpenPack]:
        champion = self.champion
        yield OpenPack(self.store.files, champion.place, champion.digest, champion.version, fits=self.fits)


@dataclass(frozen=True)
class GroupChampions:
    """Each group's champion, asked for and fetched by the executor that needs it."""

    context: Context
    groups: frozenset[str]
    """All that have one."""
    fitting: frozenset[str]
    """Those whose champion of the time takes the features that the workload has now, by the journal."""
    journal_version: int | None
    """Whoever opens champions reads their moves, at this version of the journal: it grows with every partition."""
    as_of: AsOf
    access: Access
    scale: Scale
    version: None = None

    @property
    def fits(self) -> bool:
        return bool(self.fitting)

    @property
    def fallback(self) -> str:
        fallback = self.context.workload.pack.fallback
        return "parent" if isinstance(fallback, Parent) else fallback

    @property
    def to_fetch(self) -> Collection[str]:
        return self.groups

    @property
    def loads(self) -> Sequence[str]:
        return loads_of(self._journal(self.groups), self.groups)

    def without_model(self, groups: Collection[str]) -> list[str]:
        return sorted(set(groups) - self.fitting)

    @contextmanager
    def open(self, groups: Collection[str]) -> Iterator[OpenPack]:
        wanted = self.groups.intersection(groups)
        journal = self._journal(wanted)
        answering = units(self.context.workload, wanted)
        with fetch_champions(self.context, answering.values(), journal, self.as_of, self.access) as (fetched, folder):
            models = [model for model in fetched if model.fits]
            unfit = [model for model in fetched if not model.fits]
            digest = write_pack_of(self.context.workload, models, journal, self.scale, folder)
            yield OpenPack(Files(str(folder)), "", digest, None, _versions(models), _versions(unfit))

    def _journal(self, groups: Collection[str]) -> Journal:
        return Journal(self.context.store, groups, self.journal_version)


def _versions(fetched: Iterable[Fetched]) -> dict[str, str]:
    return {str(model.champion.unit.group): model.champion.version for model in fetched}


def opponents(context: PartitionContext, retry: str | None = None) -> Champions | None:
    """Return whom a partition's candidates are judged against, or None when there was no champion.

    That is the champion, unless it came of this partition or of a later one: then a stage run again would judge
    candidates against themselves, or against models that have seen the very rows. The journal tells what it came of.
    The groups of a `retry` have had no candidate of the partition: what it promoted counts, but by the retry's own run.

    Raises:
        BadChampion: when the pack's manifest is not the one that was registered.
        AliasGone, ForeignVersion, NotVouched: when the alias was removed, or is at what Muster did not put there.
        JournalGone: when somebody was promoted and the journal has no move of it.
    """
    return _champions(context, AsOf(context.partition, including=retry is not None, before=retry))


def scorers(context: PartitionContext, today: bool = False) -> Champions | None:
    """Return who scores a partition's slice, or None where there was no champion at its time; `today`, at present.

    That is the champion of the slice's own time: a later partition's has learnt from the slice's own rows, or was
    judged on them. So a slice scored again gets the same predictions, until a rollback takes back what made them; where
    scoring does not wait for training, not by what its own partition has promoted meanwhile.

    Raises:
        AliasGone, BadChampion, ForeignVersion, JournalGone, NotVouched: as `opponents` does.
    """
    as_of = AsOf.today() if today else to_score(context.workload, context.partition)
    return _champions(context, as_of, scoring=True)


def replaced_since(context: PartitionContext) -> bool:
    """Tell whether there is a champion of a later partition than this one: so this one's is none of today's."""
    return any(row["partition"] > context.partition for row in Journal(context.store).rows)


def _champions(context: PartitionContext, as_of: AsOf, scoring: bool = False) -> Champions | None:
    journal = Journal(context.store)
    check_begun(context.store, journal)
    if is_pack(context.workload):
        return _pack(context, journal, as_of)
    check_all_recorded(context.store, journal)
    groups = frozenset(group for group in journal.groups if not left_without(journal.of_group(group)))
    if not groups:
        return None
    units(context.workload, groups)  # two groups' models may not have one name
    if scoring and not any(as_of.old_enough(journal.of_group(group)[0]["partition"]) for group in groups):
        return None
    access = Access.of_driver(settings(), len(groups))
    moves = {group: _fitting_move(context, journal.of_group(group), as_of) for group in groups}
    fitting = {group: move for group, move in moves.items() if move is not None}
    scale = Scale(probabilities=True)  # of the opponents only the models are asked
    if scoring:
        probabilities = all_give_probabilities(context, fitting.values())
        known = prior(context.workload, journal, as_of)
        scale = Scale(probabilities, known, answering_baseline(context.workload, context.store))
    return GroupChampions(context, groups, frozenset(fitting), journal.version, as_of, access, scale)


def _fitting_move(context: Context, moves: Moves, as_of: AsOf) -> Row | None:
    """Return the move that made a group's champion of the time, if that takes the keys and features of today."""
    row = as_of.move(moves, moves[-1]["to_version"])
    return row if row is not None and fits_today(context.workload, evidence_of(row)) else None


def _pack(context: Context, journal: Journal, as_of: AsOf) -> PackChampions | None:
    [unit] = units(context.workload, ()).values()
    champion = as_of.champion(unit, journal, context.store)
    if champion is None:
        return None
    try:
        description = about(verified_manifest(context.store.files, champion.place, champion.digest))
    except CorruptManifest as error:
        raise BadChampion(champion.version, error) from error
    return PackChampions(champion, context.store, fits(description, context.workload), description["fallback"])
