"""What a stage did, as a table of plain text that an operator reads at the end of the task's log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def summary(stage: str, workload: str, partition: str | None, result: Mapping[str, Any]) -> str:
    """Return the table: one line a count, a reason's count indented under its own."""
    rows = list(_rows(result))
    width = max((len(name) for name, _ in rows), default=0)
    title = f"{workload}.{stage}" + (f"  partition {partition}" if partition else "")
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    return "\n".join([title, "-" * len(title), *lines])


def _rows(result: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    for name, value in result.items():
        label = indent + name.replace("_", " ")
        if isinstance(value, Mapping):
            if value:
                yield label, ""
                by_count = sorted(value.items(), key=lambda item: (-_number(item[1]), item[0]))
                yield from _rows(dict(by_count), indent + "  ")
        else:
            yield label, _text(value)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return f"{len(value):,} listed"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
