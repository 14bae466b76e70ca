"""How many calls came in each second, wherever the second begins."""

from __future__ import annotations

from collections.abc import Sequence


def busiest_second(times: Sequence[float]) -> int:
    """Return the most calls that came within any one second, its end left out."""
    ordered, first, most = sorted(times), 0, 0
    for number, at in enumerate(ordered):
        while at - ordered[first] >= 1:
            first += 1
        most = max(most, number - first + 1)
    return most


def used(times: Sequence[float], calls_a_second: float) -> float:
    """Return the share of the budget that was used after the first second, in whole seconds up to the last call."""
    begin = min(times) + 1
    seconds = int(max(times) - begin)
    return sum(begin <= at < begin + seconds for at in times) / (seconds * calls_a_second)
