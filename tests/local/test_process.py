"""Processes are found again whatever was lost, and nobody else's are touched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from muster_local import process
from muster_local.errors import ServiceDied
from muster_local.process import Record

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause()",
]
ORPHANING = f"""
import subprocess, time
print(subprocess.Popen({SLEEP!r}, start_new_session=True).pid, flush=True)
time.sleep(60)
"""


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def first_line(log: Path) -> str:
    for _ in range(100):
        if text := log.read_text():
            return text.splitlines()[0]
        time.sleep(0.05)
    raise AssertionError(f"{log} stayed empty")


def test_a_started_service_is_recorded_in_a_session_of_its_own(tmp_path: Path) -> None:
    started = process.start("one", SLEEP, home=tmp_path, env=os.environ)
    record = process.read_record(tmp_path, "one")
    assert record is not None
    assert record.process() == psutil.Process(started.pid)
    assert os.getsid(started.pid) == started.pid
    process.stop(tmp_path)


def test_a_record_whose_pid_was_taken_by_another_process_is_nobodys(tmp_path: Path) -> None:
    me = psutil.Process()
    assert Record("one", me.pid, me.create_time()).process() == me
    assert Record("one", me.pid, me.create_time() - 60).process() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_broken_record_is_no_record(tmp_path: Path, text: str) -> None:
    file = process.record_file(tmp_path, "one")
    file.parent.mkdir()
    file.write_text(text)
    assert process.read_record(tmp_path, "one") is None


def test_stop_finds_an_orphan_in_its_own_session_after_the_records_are_lost(tmp_path: Path) -> None:
    started = process.start("one", [sys.executable, "-c", ORPHANING], home=tmp_path, env=os.environ)
    orphan = int(first_line(process.log_file(tmp_path, "one")))
    started.kill()
    started.wait()
    process.record_file(tmp_path, "one").unlink()
    assert runs(orphan)
    assert process.stop(tmp_path) == 1
    assert not runs(orphan)


def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    started = process.start("one", DEAF, home=tmp_path, env=os.environ)
    first_line(process.log_file(tmp_path, "one"))
    assert process.stop(tmp_path, grace=0.3) == 1
    assert started.wait() == -9


def test_stop_leaves_other_homes_and_other_programs_alone(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    process.start("one", SLEEP, home=_made(ours), env=os.environ)
    other = process.start("one", SLEEP, home=_made(theirs), env=os.environ)
    # An editor started from a shell that exports MUSTER_HOME.
    editor = subprocess.Popen(SLEEP, env={**os.environ, "MUSTER_HOME": str(ours)})
    assert process.stop(ours) == 1
    assert other.poll() is None
    assert editor.poll() is None
    editor.kill()
    editor.wait()
    process.stop(theirs)


def test_stop_spares_itself_and_those_above_it(tmp_path: Path) -> None:
    script = f"from pathlib import Path; from muster_local import process; print(process.stop(Path({str(tmp_path)!r})))"
    shell = [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}])"]
    process.run("outer", shell, home=tmp_path, env=os.environ)
    assert first_line(process.log_file(tmp_path, "outer")) == "0"


def test_stop_of_one_service_leaves_the_others(tmp_path: Path) -> None:
    process.start("one", SLEEP, home=tmp_path, env=os.environ)
    other = process.start("two", SLEEP, home=tmp_path, env=os.environ)
    assert process.stop(tmp_path, "one") == 1
    assert other.poll() is None
    assert process.stop(tmp_path) == 1


def test_stop_where_nothing_runs_stops_nothing(tmp_path: Path) -> None:
    assert process.stop(tmp_path) == 0


def test_a_preparing_command_that_fails_tells_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ServiceDied, match=r"step exited with code 3: no disk .*step\.log"):
        process.run("step", ["sh", "-c", "echo no disk; exit 3"], home=tmp_path, env=os.environ)
    assert process.read_record(tmp_path, "step") is None


def test_a_preparing_command_that_was_killed_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ServiceDied, match=r"step was killed by signal 9: half done .*run `\S*muster up` again"):
        process.run("step", ["sh", "-c", "echo half done; kill -9 $$"], home=tmp_path, env=os.environ)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
