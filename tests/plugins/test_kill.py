"""A task that is killed leaves no work of its own, and a retry stops what an earlier attempt left: on real Sparks."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.plugins.line import PATIENCE, STOPPED, Line

# On the worker of the cluster: the lines of one backend have one key.
pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("cluster")]


def test_a_task_that_is_marked_failed_leaves_no_work(line: Line) -> None:
    task = line.start()
    line.until(line.beating)
    task.terminate()
    line.until(line.ends, seconds=60)
    task.join(30)  # `cancel` alone may take twelve
    assert task.exitcode


def test_a_retry_stops_what_an_earlier_attempt_left_and_killed_without_warning_leaves_no_work(line: Line) -> None:
    """Task and job die at once, so that nobody is left to stop the work on Spark; then only the retry's task does."""
    task = line.start()
    line.until(line.beating)
    stopped = [psutil.Process(pid) for pid in (task.pid, *line.processes())]
    for process in stopped:
        process.suspend()  # a job that is stopped still holds its work, and does not hear SIGTERM
    task.kill()
    retry = line.start()
    line.until(lambda: line.beating() and line.quiet(0) > STOPPED)
    assert not [process for process in stopped if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    retry.kill()
    line.until(line.ends, seconds=60)


def test_work_of_a_client_that_was_killed_is_interrupted_by_the_next_attempt(connect: Line) -> None:
    task = connect.start()
    connect.until(connect.beating)
    for pid in (task.pid, *connect.processes()):
        psutil.Process(pid).kill()
    time.sleep(STOPPED)
    assert connect.beating(), "the server goes on with the work of a client that died: that is why a retry must stop it"
    connect.run()
    connect.until(connect.ends, seconds=60)
    assert connect.quiet(0) > connect.quiet(1)
    assert connect.result()["rows"] == 2


def test_two_stages_of_one_workload_do_not_stop_each_other(connect: Line) -> None:
    train = connect.start("train", seconds=12)
    connect.until(connect.beating)
    connect.run("score")
    train.join(PATIENCE)
    assert train.exitcode == 0
    assert connect.result("train")["rows"] == connect.result("score")["rows"] == 2
