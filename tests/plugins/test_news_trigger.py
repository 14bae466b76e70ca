"""The trigger that wakes `watch`: what settles is fired, and later again; a source that is down is told once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from muster.errors import MusterError
from muster_airflow.triggers import news
from muster_airflow.triggers.news import NewsTrigger

A, B, OTHER_A = ("2024-02-05", "arrival", "1"), ("2024-02-12", "arrival", "2"), ("2024-02-05", "arrival", "3")
LOOKS = 12
"""So often each test lets the trigger look."""


@dataclass
class Looks:
    """A source that answers this, look by look; the last of it for ever."""

    answers: list[Any] = field(default_factory=list)
    number: int = 0

    def __call__(self, *answers: Any) -> None:
        self.answers[:] = answers

    def look(self, _: str) -> frozenset[tuple[str, str, str]]:
        answer = self.answers[min(self.number, len(self.answers) - 1)]
        self.number += 1
        if isinstance(answer, Exception):
            raise answer
        return frozenset(answer)

    def fired(self, again: float = 60) -> list[list[str]]:
        """Return the partitions of the events that the trigger fires."""
        trigger, events = NewsTrigger("made.yaml", 0.001, again), []

        async def collect() -> None:
            async for event in trigger.run():
                events.append(event.payload["partitions"])

        async def story() -> None:
            task = asyncio.create_task(collect())
            while self.number < LOOKS:
                assert not task.done()
                await asyncio.sleep(0.001)
            task.cancel()

        asyncio.run(story())
        return events


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()
    monkeypatch.setattr(news, "look", looks.look)
    monkeypatch.setattr(news, "SHARE", 0)
    return looks


def test_what_is_the_same_at_two_looks_is_fired_once(looks: Looks) -> None:
    looks([], [A], [A])
    assert looks.fired() == [[A[0]]]


def test_what_is_another_at_each_look_is_not(looks: Looks) -> None:
    looks([A], [OTHER_A], [A], [OTHER_A], [])
    assert looks.fired() == []


def test_what_comes_later_is_fired_beside_what_is_new_still(looks: Looks) -> None:
    looks([A], [A], [A, B], [A, B])
    assert looks.fired() == [[A[0]], [A[0], B[0]]]


def test_what_was_new_and_is_again_is_fired_again(looks: Looks) -> None:
    looks([A], [A], [], [A], [A])
    assert looks.fired() == [[A[0]], [A[0]]]


def test_what_stays_new_is_fired_again_after_some_time_so_that_a_lost_event_is_none(looks: Looks) -> None:
    looks([A])
    assert len(looks.fired(again=0)) > 2


def test_a_source_that_is_down_is_told_once_and_looked_at_again(
    looks: Looks, capsys: pytest.CaptureFixture[str]
) -> None:
    down = MusterError("does not answer")
    looks([A], down, down, down, [A])
    assert looks.fired() == [[A[0]]]
    told = capsys.readouterr().out
    assert told.count("does not answer") == 1
    assert told.count("Can look again") == 1


def test_an_error_that_nobody_has_foreseen_does_not_end_it(looks: Looks) -> None:
    looks(RuntimeError("a surprise"), [A])
    assert looks.fired() == [[A[0]]]


def test_it_is_made_again_from_what_airflow_keeps(tmp_path: Path) -> None:
    path, arguments = NewsTrigger("made.yaml", 60, 600).serialize()
    assert path == "muster_airflow.triggers.news.NewsTrigger"
    assert NewsTrigger(**arguments).serialize() == (path, arguments)
