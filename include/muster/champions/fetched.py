"""Groups' champions fetched from MLflow onto this machine, and written as a pack that the packs' own reader opens."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from muster.champions.access import Access
from muster.champions.as_of import AsOf
from muster.champions.errors import FileGone
from muster.champions.journal import Journal, Row, evidence_of
from muster.champions.model_artifact import fetch
from muster.champions.scratch import scratch
from muster.champions.units import Unit
from muster.champions.versions import RegisteredVersion, fits_today
from muster.context import Context
from muster.models.loading import CorruptModel
from muster.models.manifest import MANIFEST, describe, manifest_bytes
from muster.models.manifest_reader import MANIFEST_FILE, PACKED
from muster.models.scores import gives_probabilities
from muster.outcomes.kinds import kind_of
from muster.workload.spec import Workload

log = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """A group's champion with its stored bytes."""

    champion: RegisteredVersion
    stored: bytes
    """Empty where they cannot be had: whoever checks them refuses them."""
    fits: bool
    """Whether it takes the keys and features of today. Else it counts as no model, and is champion still."""


class Scale(NamedTuple):
    """What the scores of all groups' champions have in common, so that others may answer for a group without one."""

    probabilities: bool
    """Whether all are probabilities. Else nothing answers for a group without a model, or parent."""
    prior: float | list[float] = 0.0
    """The share of positives, or of each class, in the training rows."""
    baseline: str = "prior"
    """What answers where they are probabilities."""


@contextmanager
def fetch_champions(
    context: Context, units: Collection[Unit], journal: Journal, as_of: AsOf, access: Access
) -> Iterator[tuple[list[Fetched], Path]]:
    """Fetch what counts for each unit, in its own moment; give it with a folder that is gone when the block ends.

    Raises:
        AliasGone, ForeignVersion, NotVouched: when an alias was removed, or is at what Muster did not put there.
    """
    fetched: list[Fetched] = []
    by_group = {str(unit.group): unit for unit in units}
    with scratch() as folder:
        with access():
            for group in access.in_turn(by_group):
                access.wait_for(group)
                champion = as_of.champion(by_group[group], journal, context.store)
                if champion is not None:
                    fits = champion.fits(context.workload)
                    fetched.append(Fetched(champion, _stored(champion, folder) if fits else b"", fits))
        yield fetched, folder


def _stored(champion: RegisteredVersion, folder: Path) -> bytes:
    try:
        return fetch(champion, folder)
    except (CorruptModel, FileGone) as error:
        log.warning("group '%s': %s", champion.unit.group, error)
        return b""


def write_pack_of(
    workload: Workload,
    models: Sequence[Fetched],
    journal: Journal,
    scale: Scale,
    folder: Path,
) -> str:
    """Write fetched models as a pack of one shard into `folder`; return its digest.

    `scale` is that of all champions, whichever of them are among `models`.
    What they may name is what the journal says of them: an earlier workload may have declared other steps.
    """
    carried = loads_of(journal, [str(model.champion.unit.group) for model in models])
    offset, rows = 0, []
    with (folder / PACKED).open("wb") as shard:
        for champion, stored, _ in sorted(models, key=lambda model: str(model.champion.unit.group)):
            place = {"shard": PACKED, "offset": offset, "length": len(stored), "sha256": champion.digest}
            origin = {"origin_run": champion.run, "origin_partition": champion.partition}
            rows.append({"group": champion.unit.group, **origin, **place})
            offset += shard.write(stored)
    table = pa.Table.from_pylist(rows, MANIFEST)
    newest = max((model.champion.partition for model in models), default="")
    description = describe(workload, table, workload.schedule.start, newest, carried, scale.baseline)
    description |= {"prior": scale.prior, "probabilities": scale.probabilities}
    data, digest = manifest_bytes(table, description)
    (folder / MANIFEST_FILE).write_bytes(data)
    return digest


def all_give_probabilities(context: Context, moves: Iterable[Row]) -> bool:
    """Tell whether the scores of the models that the alias was moved to are all probabilities.

    The journal says it. Of a move that does not, an older Muster's, the model's algorithm does, as it is declared now;
    of one that is not declared any more nobody knows, so it counts as none.
    """
    models = {tuple(evidence_of(row).get(name) for name in ("probabilities", "algorithm")) for row in moves}
    if any(gives is False for gives, _ in models):
        return False
    unknown = {algorithm for gives, algorithm in models if gives is None}
    if not unknown:
        return True
    from muster.training.algorithms import estimator_factories  # imports scikit-learn: not in every process

    declared = {factory.name for factory in estimator_factories(context) if gives_probabilities(factory.create(0))}
    return unknown <= declared


def loads_of(journal: Journal, groups: Collection[str]) -> list[str]:
    """Return what any model may name that was champion of these groups, as their moves say."""
    moves = (move for group in groups for move in journal.of_group(group))
    return sorted({name for move in moves for name in evidence_of(move).get("loads", ())})


def prior(workload: Workload, journal: Journal, as_of: AsOf) -> float | list[float]:
    """Return what is known of any row by the training rows of all champions, as their pack would have it.

    Of the champions of that time; where none is so old, of today's. Those that take or predict something else count
    as little as they answer.
    """
    then, today = [], []
    for group in journal.groups:
        rows = journal.of_group(group)
        today.append(evidence_of(rows[-1]))
        then += [evidence_of(row) for row in [row for row in rows if as_of.old_enough(row["partition"])][-1:]]
    fitting = [[item for item in evidence if fits_today(workload, item)] for evidence in (then, today)]
    evidence = fitting[0] or fitting[1]
    return kind_of(workload.outcome).pooled([item for item in evidence if not item.get("parent")] or evidence)
