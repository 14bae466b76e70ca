"""Divide buckets among tasks so that all end at about the same time."""

from __future__ import annotations

import heapq
from collections.abc import Mapping


def balance(costs: Mapping[int, float], bins: int) -> list[list[int]]:
    """Return at most `bins` lists of buckets, the costliest list first.

    Longest processing time first (Graham 1969, within 4/3 of the best): each bucket, the costliest first, joins the bin
    with the least so far. Equal costs fall in order of the bucket, so the same costs give the same bins.
    """
    heap: list[tuple[float, int, list[int]]] = [(0.0, number, []) for number in range(min(bins, len(costs)))]
    for bucket, cost in sorted(costs.items(), key=lambda item: (-item[1], item[0])):
        total, number, members = heap[0]
        members.append(bucket)
        heapq.heapreplace(heap, (total + cost, number, members))
    return [members for _, _, members in sorted(heap, key=lambda item: (-item[0], item[1]))]
