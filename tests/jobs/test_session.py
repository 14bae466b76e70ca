"""A job's session: one for all processes of a workload, and the end of a job that is told to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import uuid

import pytest

from muster_jobs.session import MICROSECONDS, NoServer, address, connect_session

SESSION = uuid.UUID(int=7)
BLOCKED = """
import pathlib, sys, threading
from muster_jobs.session import on_termination
on_termination(lambda: pathlib.Path(sys.argv[1]).write_text("the last words"))
print("here", flush=True)
{block}
"""
BLOCKS = {
    "a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    # A mutex that is locked twice waits for ever, and unlike a sleep is not ended by a signal.
    "a call into C that no signal ends": (
        "import ctypes; c = ctypes.CDLL(None); m = ctypes.create_string_buffer(64);"
        "c.pthread_mutex_lock(m); c.pthread_mutex_lock(m)"
    ),
    "a loop": "while True: pass",
}
TASK = """
import os, sys
from muster_jobs.session import connect_session
session = connect_session(sys.argv[1], sys.argv[2], "tag")

def pids(batches):
    import os, time
    import pyarrow
    time.sleep(0.5)
    for batch in batches:
        yield pyarrow.RecordBatch.from_pydict({"pid": [os.getpid()]})

workers = session.range(0, 2, 1, 2).mapInArrow(pids, "pid long").toArrow()["pid"].to_pylist()
print(sorted(workers))
"""


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("sc://h:1", f"sc://h:1/;user_id=muster;session_id={SESSION}"),
        ("sc://h:1/", f"sc://h:1/;user_id=muster;session_id={SESSION}"),
        ("sc://h:1/;token=t;use_ssl=true", f"sc://h:1/;token=t;use_ssl=true;user_id=muster;session_id={SESSION}"),
        ("sc://h:1/;user_id=ann", f"sc://h:1/;user_id=ann;session_id={SESSION}"),
    ],
)
def test_a_session_is_added_to_any_address(remote: str, expected: str) -> None:
    assert address(remote, SESSION) == expected


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(NoServer, match=r"no Spark Connect server at '127.0.0.1:1'"):
        connect_session("sc://127.0.0.1:1", "name", "tag")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_a_job_says_its_last_words_whatever_it_is_blocked_in(block: str, number: signal.Signals, tmp_path) -> None:  # type: ignore[no-untyped-def]
    last_words = tmp_path / "last_words"
    command = [sys.executable, "-c", BLOCKED.format(block=block), str(last_words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "here\n"
        job.send_signal(number)
        assert job.wait(10) == 128 + number
    assert last_words.read_text() == "the last words"


@pytest.mark.spark
@pytest.mark.slow
def test_a_later_process_finds_the_warm_workers_of_an_earlier_one(spark_connect_server: str) -> None:
    command = [sys.executable, "-c", TASK, spark_connect_server, "warm"]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert first == second


@pytest.mark.spark
@pytest.mark.slow
def test_a_session_that_the_server_closed_is_replaced(spark_connect_server: str) -> None:
    first = connect_session(spark_connect_server, "closed", "tag")
    first.client.release_session()
    second = connect_session(spark_connect_server, "closed", "tag")
    try:
        assert second.session_id != first.session_id
        assert second.range(3).count() == 3
        assert second.conf.get(MICROSECONDS[0]) == "TIMESTAMP_MICROS"
    finally:  # else this process would wait for the stopped server when it ends
        second.stop()
        first.client.close()
