"""What came of what, over random weeks: promotions, the same bytes again, partitions trained again, rollbacks."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from muster.champions.journal import Row
from muster.champions.lineage import champion_before, newest_ancestor

WEEKS = [f"2024-01-{day:02}" for day in range(1, 8)]


@dataclass
class Weeks:
    """A journal, and beside it the tree that it stands for: champion -> what was champion before it was promoted."""

    moves: list[Row] = field(default_factory=list)
    parents: dict[tuple[str, str], tuple[str, str] | None] = field(default_factory=dict)
    present: tuple[str, str] | None = None
    numbers: dict[str, str] = field(default_factory=dict)

    def move(self, champion: tuple[str, str], cause: str) -> None:
        before, (content, partition) = self.present, champion
        number = self.numbers.setdefault(content, str(len(self.numbers) + 1))
        since = None if before is None else self.numbers[before[0]]
        row = {"from_version": since, "to_version": number, "cause": cause, "partition": partition, "made": True}
        self.moves.append({**row, "manifest_sha256": content, "evidence": "{}", "group": None, "run": content})
        self.parents.setdefault(champion, before)
        self.present = champion

    def line(self, champion: tuple[str, str] | None) -> list[tuple[str, str]]:
        """Return a champion and all that it came of, the youngest first."""
        return [] if champion is None else [champion, *self.line(self.parents[champion])]


def champion_of(row: Row | None) -> tuple[str, str] | None:
    return None if row is None else (row["manifest_sha256"], row["partition"])


@pytest.mark.parametrize("seed", range(100))
def test_the_journal_tells_what_came_of_what(seed: int) -> None:
    draw, weeks = random.Random(seed), Weeks()
    for _ in range(14):
        at = weeks.present
        if at is not None and weeks.parents[at] is not None and draw.random() < 0.3:
            weeks.move(weeks.parents[at], "rollback")  # type: ignore[arg-type]
        else:
            ahead = [week for week in WEEKS if at is None or week >= at[1]]
            made = (draw.choice("abcd"), draw.choice(ahead[:2]))
            if (at is not None and made[0] == at[0]) or (made in weeks.parents and made in weeks.line(at)):
                continue  # the champion's very bytes, or what it came of: nothing is promoted
            weeks.move(made, "gate")
        assert weeks.present is not None
        number = weeks.numbers[weeks.present[0]]
        for week in WEEKS:
            wanted = next((one for one in weeks.line(weeks.present) if one[1] < week), None)
            assert champion_of(newest_ancestor(weeks.moves, number, week.__gt__)) == wanted
        assert champion_of(champion_before(weeks.moves, number)) == weeks.parents[weeks.present]
