"""A group's name, bucket and seed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from muster import groups

ODD = ["../../x", 'with "quotes"', "a,b", " padded ", "", "*", "ünï€😀", "x" * 300, "'", "[b]"]
ODD += ["line\nbreak", "cr\rhere", "\t", "\x00", "\u2028"]


def test_name_is_one_csv_row_of_the_keys() -> None:
    assert groups.name(["UA", "EWR", 12]) == "UA,EWR,12"


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_key_value_comes_back_from_the_name(odd: str, place: int) -> None:
    keys = ["UA", "EWR", "ORD"]
    keys[place] = odd
    assert groups.values(groups.name(keys)) == tuple(keys)


@pytest.mark.parametrize("odd", ODD)
def test_a_single_odd_key_comes_back_from_the_name(odd: str) -> None:
    assert groups.values(groups.name([odd])) == (odd,)


def test_different_key_values_have_different_names() -> None:
    pairs = [(left, right) for left in ODD for right in ODD]
    assert len({groups.name(pair) for pair in pairs}) == len(pairs)


def test_parent_has_a_star_for_each_key_it_pools_over() -> None:
    assert groups.parent_name(["carrier", "origin", "dest"], ["UA", "EWR", "ORD"], ["origin"]) == "*,EWR,*"


def test_parent_over_everything_is_all_stars() -> None:
    assert groups.parent_name(["carrier", "origin"], ["UA", "EWR"], []) == "*,*"


def test_no_group_has_the_name_of_a_parent() -> None:
    assert groups.name(["*", "EWR", "*"]) == '"*",EWR,"*"' != groups.parent_name("abc", ["x", "EWR", "y"], "b")


def test_bucket_is_crc32_as_spark_computes_it() -> None:
    assert groups.bucket("123456789", 4096) == 0xCBF43926 % 4096  # the check value of CRC-32/ISO-HDLC


def test_seed_is_the_groups_own_and_the_workloads() -> None:
    seeds = {groups.seed(text, base) for text in ("UA,EWR,ORD", "UA,EWR,LAX") for base in (0, 1)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_bucket_and_seed_are_the_same_in_another_process() -> None:
    program = "from muster import groups; print(groups.bucket('ü,*', 4096), groups.seed('ü,*', 7))"
    completed = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONHASHSEED": "99"}, capture_output=True, text=True, check=True
    )
    assert completed.stdout.split() == [str(groups.bucket("ü,*", 4096)), str(groups.seed("ü,*", 7))]


KNOWN = ["ABE,ATL", "ABQ,DEN", "LGA,ORD", "ORD,LAX", "ORD,LGA", "ord,lga"]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("Ord,Lga", ["ORD,LGA", "ord,lga"]),
        ("ord, lax", ["ORD,LAX"]),
        ('" ORD",LAX', ["ORD,LAX"]),
        ("abe,alt", ["ABE,ATL"]),
        ("zzzz", []),
    ],
)
def test_the_nearest_groups_are_near_whatever_case_and_blanks(typed: str, first: list[str]) -> None:
    assert groups.nearest(typed, KNOWN)[: len(first) or None] == first
