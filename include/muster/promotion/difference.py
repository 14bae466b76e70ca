"""What changes for the groups between two packs, read from their manifests alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa

SHOWN = 50
"""Groups that a difference lists; its counts are of all."""
DESCRIPTION = ("origin_run", "origin_partition", "algorithm")
"""The columns that describe a group's model before and after, where the manifest has it. Its score is of its own weeks:
no two of them can be compared."""


@dataclass(frozen=True)
class Change:
    """A group whose model is another in the second pack, or in one of the two only."""

    group: str
    change: Literal["changes", "appears", "disappears"]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    taken_from: str
    """The version that says what the group has after."""
    compared: Mapping[str, Any] | None = None
    """Both models' scores on the same rows, where the gate has judged the one against the other: see `same_rows`."""


def changes(before: pa.Table | None, after: pa.Table, taken_from: Callable[[str], str]) -> list[Change]:
    """Return the groups that differ between two manifests, in order of their names; without a first one, all."""
    old, new = _by_group(before), _by_group(after)
    changed = []
    for group in sorted(old.keys() | new.keys()):
        was, becomes = old.get(group), new.get(group)
        if was and becomes and was["sha256"] == becomes["sha256"]:
            continue
        kind: Literal["changes", "appears", "disappears"] = (
            "appears" if was is None else "disappears" if becomes is None else "changes"
        )
        changed.append(Change(group, kind, _described(was), _described(becomes), taken_from(group)))
    return changed


def counted(changed: Sequence[Change], shown: int = SHOWN) -> dict[str, Any]:
    """Return how many groups change, appear and disappear, from which versions, and the first of them."""
    kinds = Counter(change.change for change in changed)
    return {
        **{kind: kinds[kind] for kind in ("changes", "appears", "disappears")},
        "taken_from": dict(sorted(Counter(change.taken_from for change in changed).items())),
        "shown": [asdict(change) for change in changed[:shown]],
    }


def _by_group(manifest: pa.Table | None) -> dict[str, dict[str, Any]]:
    if manifest is None:
        return {}
    names = [name for name in ("group", "sha256", *DESCRIPTION) if name in manifest.column_names]
    return {row["group"]: row for row in manifest.select(names).to_pylist()}


def _described(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else {name: row[name] for name in DESCRIPTION if name in row}
