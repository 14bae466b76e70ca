"""What a task needs, and which buckets are trained fewer at once."""

from __future__ import annotations

import pytest

from muster.training.task_memory import FIT, ROW, VALUE, WORKER, Memory, NotEnoughMemory, Passes, bytes_needed, passes


def test_a_task_needs_its_buckets_rows_and_once_more_its_largest_group() -> None:
    assert bytes_needed(10, 1_000, 200) == WORKER + 1_000 * (ROW + 10 * VALUE) + 200 * 10 * FIT


@pytest.mark.parametrize(
    ("memory", "divided"),
    [
        (None, Passes((0, 1, 2))),
        (Memory(30, 4), Passes((0, 1, 2))),
        (Memory(20, 4), Passes((0, 1), (2,), at_once=2, tasks=2, cpus=2)),
        (Memory(10, 4), Passes((0,), (1, 2), at_once=1, cpus=4)),
        (Memory(10, 4, of_an_executor=True), Passes((0,), (1, 2), at_once=1, tasks=None, cpus=4)),
        (Memory(15, 2), Passes((0,), (1, 2), at_once=1, cpus=2)),
    ],
)
def test_buckets_that_need_more_than_a_task_has_run_fewer_at_once(memory: Memory | None, divided: Passes) -> None:
    assert passes({0: 10, 1: 20, 2: 30}, memory) == divided


def test_what_needs_more_than_all_tasks_have_together_is_named() -> None:
    with pytest.raises(ValueError, match="2"):
        passes({0: 10, 1: 20, 2: 30}, Memory(7, 4))


def test_the_error_says_what_is_needed_what_is_there_and_what_to_write() -> None:
    text = str(NotEnoughMemory(3, 9_100_000_000, 4_000_000_000, {"a": 12_000_000, "b": 7}))
    assert text == (
        "bucket 3 needs about 9.1 GB of memory to be trained, and there are 4.0 GB; its largest groups: 'a' "
        "(12,000,000 rows), 'b' (7 rows). Declare 'large_groups' to sample them, or more 'features.buckets', or give "
        "Spark's Python more memory and say so by MUSTER_TASK_MEMORY"
    )
