"""The trigger that wakes `watch`: what settles is fired, and later again; a source that is down is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from muster.errors import MusterError
from muster_airflow.triggers import news
from muster_airflow.triggers.news import NewsTrigger

A, B, OTHER_A = ("2024-02-05", "arrival", "1"), ("2024-02-12", "arrival", "2"), ("2024-02-05", "arrival", "3")
Looks = Callable[..., None]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Let the source answer this, look by look; the last of them for ever."""

    def answer(*answers: Any) -> None:
        left: Iterator[Any] = iter(answers)
        last: list[Any] = []

        def look(_: str) -> frozenset[tuple[str, str, str]]:
            last[:] = [next(left, last[0] if last else ())]
            if isinstance(last[0], Exception):
                raise last[0]
            return frozenset(last[0])

        monkeypatch.setattr(news, "look", look)

    return answer


def fired(again: float = 60, seconds: float = 0.4) -> list[list[str]]:
    """Return the partitions of the events that are fired within some time."""
    trigger, events = NewsTrigger("made.yaml", 0.005, again), []

    async def collect() -> None:
        async for event in trigger.run():
            events.append(event.payload["partitions"])

    async def story() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(collect(), seconds)

    asyncio.run(story())
    return events


def test_what_is_the_same_at_two_looks_is_fired_once(looks: Looks) -> None:
    looks([], [A], [A])
    assert fired() == [[A[0]]]


def test_what_is_another_at_each_look_is_not(looks: Looks) -> None:
    looks([A], [OTHER_A], [A], [OTHER_A], [])
    assert fired() == []


def test_what_comes_later_is_fired_beside_what_is_new_still(looks: Looks) -> None:
    looks([A], [A], [A, B], [A, B])
    assert fired() == [[A[0]], [A[0], B[0]]]


def test_what_was_new_and_is_again_is_fired_again(looks: Looks) -> None:
    looks([A], [A], [], [A], [A])
    assert fired() == [[A[0]], [A[0]]]


def test_what_stays_new_is_fired_again_after_some_time_so_that_a_lost_event_is_none(looks: Looks) -> None:
    looks([A])
    assert len(fired(again=0.05)) > 2


def test_a_source_that_is_down_is_told_once_and_looked_at_again(
    looks: Looks, capsys: pytest.CaptureFixture[str]
) -> None:
    down = MusterError("does not answer")
    looks([A], down, down, down, [A])
    assert fired() == [[A[0]]]
    told = capsys.readouterr().out
    assert told.count("does not answer") == 1
    assert told.count("Can look again") == 1


def test_an_error_that_nobody_has_foreseen_does_not_end_it(looks: Looks) -> None:
    looks(RuntimeError("a surprise"), [A])
    assert fired() == [[A[0]]]


def test_it_is_made_again_from_what_airflow_keeps(tmp_path: Path) -> None:
    path, arguments = NewsTrigger("made.yaml", 60, 600).serialize()
    assert path == "muster_airflow.triggers.news.NewsTrigger"
    assert NewsTrigger(**arguments).serialize() == (path, arguments)
