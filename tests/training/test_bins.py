"""Balanced bins of buckets."""

from __future__ import annotations

import random

import pytest

from muster.training.bins import balance


def loads(bins: list[list[int]], costs: dict[int, float]) -> list[float]:
    return [sum(costs[bucket] for bucket in members) for members in bins]


def test_every_bucket_is_in_exactly_one_bin() -> None:
    costs = {bucket: float(bucket % 7) for bucket in range(100)}
    assert sorted(bucket for members in balance(costs, 6) for bucket in members) == list(range(100))


def test_costliest_bin_starts_first() -> None:
    costs = {bucket: random.Random(1).random() * bucket for bucket in range(40)}
    bin_costs = loads(balance(costs, 6), costs)
    assert bin_costs == sorted(bin_costs, reverse=True)


def test_costliest_bucket_of_a_bin_starts_first() -> None:
    costs = {bucket: float(bucket) for bucket in range(20)}
    assert all(members == sorted(members, reverse=True) for members in balance(costs, 3))


@pytest.mark.parametrize("draw", range(20))
def test_longest_bin_is_within_four_thirds_of_the_lower_bound(draw: int) -> None:
    rng = random.Random(draw)
    costs = {bucket: rng.paretovariate(1.2) for bucket in range(64)}
    bound = max(sum(costs.values()) / 6, max(costs.values()))
    assert max(loads(balance(costs, 6), costs)) <= bound * 4 / 3


def test_one_huge_bucket_stands_alone() -> None:
    assert balance({0: 1, 1: 100, 2: 1, 3: 1}, 2) == [[1], [0, 2, 3]]


def test_there_are_no_empty_bins() -> None:
    assert balance({3: 1.0, 5: 2.0}, 6) == [[5], [3]]


def test_nothing_to_do_is_no_bins() -> None:
    assert balance({}, 6) == []


def test_order_of_the_costs_does_not_matter() -> None:
    costs = {bucket: float(bucket % 3) for bucket in range(30)}
    shuffled = dict(random.Random(2).sample(list(costs.items()), len(costs)))
    assert balance(costs, 4) == balance(shuffled, 4)
