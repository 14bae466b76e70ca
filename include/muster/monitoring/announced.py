"""What is told of a partition's alarms: how many groups, which, why, and a digest by which it is told once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

from muster.groups import WILDCARD

Alarm = Literal["degraded", "drifted"]
KINDS: tuple[Alarm, ...] = ("degraded", "drifted")
NAMED = 10
"""Groups that are named, those first that are surest."""
BY: dict[Alarm, str] = {"degraded": "q_value", "drifted": "drift_q_value"}


def announced(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return by kind of alarm, then by partition, what is told of rows of `monitoring`; nothing of what has none."""
    told: dict[str, dict[str, Any]] = {}
    raised = [row for row in rows if row["alarm"]]
    for kind in KINDS:
        of_kind = [row for row in raised if row["alarm"] in (kind, "both")]
        for partition in sorted({row["partition"] for row in of_kind}):
            own = sorted((row for row in of_kind if row["partition"] == partition), key=lambda row: _order(row, kind))
            groups = [row["group"] for row in own]
            digest = hashlib.sha256("\n".join([kind, partition, *sorted(groups)]).encode()).hexdigest()[:16]
            told.setdefault(kind, {})[partition] = {
                "count": sum(group != WILDCARD for group in groups),
                "all_together": WILDCARD in groups,
                "groups": groups[:NAMED],
                "why": f"{_who(groups[0])}: {own[0]['why']}",
                "digest": digest,
            }
    return told


def _order(row: dict[str, Any], kind: Alarm) -> tuple[bool, float, str]:
    q = row[BY[kind]]
    return row["group"] != WILDCARD, 1.0 if q is None else q, row["group"]


def _who(group: str) -> str:
    return "all groups together" if group == WILDCARD else f"'{group}'"
