"""The file that processes share: what it holds back, and what it makes of clocks and dead processes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from muster.mlflow.budget import call_log
from muster.mlflow.budget.call_log import IN_FLIGHT, CallLog
from tests.mlflow_faults.windows import busiest_second


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock in milliseconds that stands still until it is set."""
    now = [5_000_000]
    monkeypatch.setattr(call_log, "_now", lambda: now[0])
    return now


def takes(opened: CallLog, many: int, prefix: str = "call") -> int:
    """Return how many of so many calls found room, at 5 a second."""
    return sum(opened.acquire("search", f"{prefix}{number}", 5, 60).wait == 0 for number in range(many))


def test_a_second_has_room_for_the_figure_and_no_more(tmp_path: Path, clock: list[int]) -> None:
    opened = CallLog(tmp_path / "s.sqlite")
    assert takes(opened, 8) == 5
    assert opened.acquire("rest", "other", 5, 60).wait == 0


def test_a_call_counts_until_a_second_after_its_answer(tmp_path: Path, clock: list[int]) -> None:
    opened = CallLog(tmp_path / "s.sqlite")
    takes(opened, 5)
    clock[0] += 3000  # five slow calls: when they arrived at the server nobody knows
    assert takes(opened, 1, "early") == 0
    opened.completed("search", "call0")
    clock[0] += 1000
    assert takes(opened, 1, "still") == 0
    clock[0] += 1
    assert takes(opened, 2, "now") == 1


def test_a_call_of_a_process_that_died_is_given_back(tmp_path: Path, clock: list[int]) -> None:
    opened = CallLog(tmp_path / "s.sqlite")
    takes(opened, 5)
    clock[0] += IN_FLIGHT + 1001
    assert takes(opened, 8, "later") == 5


def test_what_another_start_of_the_machine_left_holds_nobody_up(tmp_path: Path, clock: list[int]) -> None:
    takes(CallLog(tmp_path / "s.sqlite"), 5)
    clock[0] = 20_000
    assert takes(CallLog(tmp_path / "s.sqlite"), 8, "rebooted") == 5


def test_a_closed_class_is_closed_for_whoever_opens_the_file(tmp_path: Path) -> None:
    with CallLog(tmp_path / "s.sqlite").change_pace("search") as pace:
        pace[0] = pace[0].closed(time.time(), 30, "throttled")
    room = CallLog(tmp_path / "s.sqlite").acquire("search", "call", 5, 60)
    assert 29 < room.wait <= 30


def test_the_table_stays_as_small_as_the_budget(tmp_path: Path, clock: list[int]) -> None:
    opened = CallLog(tmp_path / "s.sqlite")
    for second in range(20):
        takes(opened, 5, f"{second}-")
        for number in range(5):
            opened.completed("search", f"{second}-{number}")
        clock[0] += 1001
    assert opened._buckets["search"].count() <= 10


def test_threads_of_a_process_share_what_there_is(tmp_path: Path) -> None:
    opened, began = CallLog(tmp_path / "s.sqlite"), time.monotonic()

    def take(thread: int) -> list[float]:
        granted = []
        for number in range(60):
            name = f"{thread}-{number}"
            if opened.acquire("search", name, 20, 60).wait == 0:
                granted.append(time.monotonic())
                opened.completed("search", name)
        return granted

    with ThreadPoolExecutor(6) as pool:
        times = [at for taken in pool.map(take, range(6)) for at in taken]
    seconds = time.monotonic() - began
    assert 20 <= len(times) <= 20 * (1 + int(seconds))
    assert busiest_second(times) <= 20
