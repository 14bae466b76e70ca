"""Which moves' champions stay, on moves that are made up: of the last promotions, and what may still be made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from muster.champions.kept_moves import digests_of, kept_moves

DIGESTS = "abcde"


def weeks(made: Sequence[bool]) -> list[dict[str, Any]]:
    """Return a promotion a week, each over the one before."""
    return [
        {
            "from_version": str(number) if number else None,
            "to_version": str(number + 1),
            "manifest_sha256": DIGESTS[number],
            "partition": f"2024-02-{5 + number:02}",
            "cause": "gate",
            "evidence": "{}",
            "made": known,
        }
        for number, known in enumerate(made)
    ]


@pytest.mark.parametrize(
    ("made", "kept"),
    [
        ([True, True, True, True, True], "de"),  # the last promotion's, and what it can be taken back to
        ([True, False, False, False, False], "bcde"),
        ([False, False, False, False, False], "abcde"),
        ([True, False, True, False, False], "de"),  # those before the last that was made, nobody makes any more
        ([True, True, False, False, False], "cde"),
    ],
)
def test_moves_that_may_still_have_to_be_made_stay_however_many_promotions_are_kept(
    made: list[bool], kept: str
) -> None:
    assert digests_of(kept_moves(weeks(made), keep=1)) == set(kept)


def test_as_many_promotions_stay_as_are_kept_and_the_one_before() -> None:
    assert digests_of(kept_moves(weeks([True] * 5), keep=3)) == set("bcde")
    assert digests_of(kept_moves(weeks([True] * 5), keep=5)) == set("abcde")
