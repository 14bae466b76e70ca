"""What housekeeping removes and keeps, by kind: how many files, and how many bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from muster.errors import bounded
from muster.storage.files import Listed

KINDS = {
    "table_files": "old versions of tables",
    "table_logs": "logs of tables",
    "manifests": "champion packs",
    "champion_shards": "models of champions",
    "candidate_shards": "models of candidates",
    "results": "results of jobs",
    "leftovers": "half-written files",
}
"""What is removed, in words."""


@dataclass
class Tally:
    """Files of a kind."""

    files: int = 0
    bytes: int = 0

    def add(self, files: Iterable[Listed]) -> None:
        """Count files."""
        for file in files:
            self.files += 1
            self.bytes += file.size


@dataclass
class Figures:
    """What a sweep removes, or would, and what it keeps."""

    dry_run: bool
    removed: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    there: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    """What there was before."""
    checkpoints: int = 0
    """Checkpoints that were written of tables' logs."""
    unknown: list[str] = field(default_factory=list)
    """Files that Muster does not know: told, and left."""

    def report(self) -> dict[str, Any]:
        """Return them as a job's result has them."""
        kept = {
            kind: Tally(there.files - self.removed[kind].files, there.bytes - self.removed[kind].bytes)
            for kind, there in self.there.items()
        }
        return {
            "dry_run": self.dry_run,
            "removed": _files(self.removed),
            "removed_bytes": _bytes(self.removed),
            "kept": _files(kept),
            "kept_bytes": _bytes(kept),
            "checkpoints": self.checkpoints,
            "unknown": len(self.unknown),
            "unknown_files": bounded(self.unknown) or None,
        }


def _files(tallies: Mapping[str, Tally]) -> dict[str, int]:
    return {kind: tally.files for kind, tally in tallies.items()}


def _bytes(tallies: Mapping[str, Tally]) -> dict[str, int]:
    return {kind: tally.bytes for kind, tally in tallies.items()}
