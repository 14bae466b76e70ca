"""Files that a rollback is about to refer to again, and that housekeeping may take for unneeded: young from then on."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from muster.champions.journal import Journal
from muster.champions.kept_moves import digests_of, kept_moves, shards_of
from muster.context import Context
from muster.errors import bounded
from muster.models.build import files_of, missing_of
from muster.models.manifest_reader import CorruptManifest
from muster.promotion.rollback_plan import CannotRollBack, Step
from muster.storage import staying
from muster.storage.store import Store


def write_anew(context: Context, journal: Journal, steps: Collection[Step]) -> None:
    """Write the old files anew that units go back to and that no champion needs which housekeeping keeps.

    Raises:
        CannotRollBack: when it has removed any of a pack's a moment ago.
    """
    store, keep = context.store, context.workload.housekeeping.keep
    for step in steps:
        kept = kept_moves(journal.of(step.unit), keep)
        if step.unit.group is not None:
            shard = step.target.evidence.get("shard")
            _write(store, {str(shard)} - shards_of(kept) if shard else ())
        elif step.target.digest not in digests_of(kept):
            _write(store, _files(store, [step.target.digest]) - _files(store, digests_of(kept)))
            if gone := missing_of(store, step.target.digest):
                why = f"files of what it would go back to were removed a moment ago: {bounded(gone)}"
                raise CannotRollBack(context.workload.name, why)


def _files(store: Store, digests: Collection[str]) -> set[str]:
    files: set[str] = set()
    for digest in digests:
        with suppress(CorruptManifest):
            files |= files_of(store, digest)
    return files


def _write(store: Store, paths: Collection[str]) -> None:
    for path in sorted(paths):
        with suppress(FileNotFoundError):
            staying.write_anew(store.files, path)
