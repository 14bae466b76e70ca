"""What came of a backfill, per partition and stage: counted, and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from muster.backfill.advance import Ends
from muster.backfill.request import Request
from muster.backfill.step import End
from muster.errors import bounded

NOT_DONE = ("failed", "missed")
"""Ends that a backfill is not done with; what was skipped had nothing to do."""


def as_report(request: Request, ends: Ends) -> dict[str, Any]:
    """Return a backfill's ends as plain data, whole, with the counts."""
    counts = Counter(end.state for stages in ends.values() for end in stages.values())
    told = {partition: {stage: [end.state, end.why] for stage, end in of.items()} for partition, of in ends.items()}
    return {"backfill": str(request), "counts": dict(counts), "partitions": told}


def is_complete(report: Mapping[str, Any]) -> bool:
    """Tell whether everything that was asked for is done, or had nothing to do."""
    return not any(report["counts"].get(state) for state in NOT_DONE)


def as_text(report: Mapping[str, Any]) -> str:
    """Return a report as a person reads it: a line a partition, then why what is not done is not."""
    partitions = report["partitions"]
    stages = list(next(iter(partitions.values()), {}))
    lines = [f"{report['backfill']}: {counted(report)}", _row("partition", stages)]
    lines += [_row(partition, [of[stage][0] for stage in stages]) for partition, of in partitions.items()]
    return "\n".join([*lines, *_reasons(partitions)])


def counted(report: Mapping[str, Any]) -> str:
    """Return how many stages of partitions ended how, in a few words."""
    counts = report["counts"]
    return ", ".join(f"{counts[state]} {state}" for state in ("done", "skipped", *NOT_DONE) if counts.get(state))


def _row(first: str, cells: list[str]) -> str:
    return f"{first:<12}" + "".join(f"{cell:<10}" for cell in cells).rstrip()


def _reasons(partitions: Mapping[str, Mapping[str, tuple[str, str]]]) -> list[str]:
    """Return a line for each stage and reason, with the partitions that it holds for."""
    alike: dict[tuple[str, End], list[str]] = {}
    for partition, of in partitions.items():
        for stage, (state, why) in of.items():
            if why:
                alike.setdefault((stage, End(state, why.replace(partition, "..."))), []).append(partition)
    return [f"{stage} {end.state}: {end.why} ({bounded(of, 5)})" for (stage, end), of in alike.items()]
