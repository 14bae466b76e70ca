"""The folder for model files: gone at the end, after an error, and once its killed owner's successor starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muster.champions import scratch as module
from muster.champions.scratch import PREFIX, scratch

OWNER = """
import sys, time
from pathlib import Path
from muster.champions.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "model.bin").write_bytes(b"secret")
    print("ready", flush=True)
    time.sleep(60)
"""


def folders(root: Path) -> list[Path]:
    return list(root.glob(f"{PREFIX}*"))


@pytest.fixture
def owner(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that has a model file in its folder."""
    started = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def test_the_folder_is_gone_at_the_end_and_after_an_error(tmp_path: Path) -> None:
    with scratch(tmp_path) as folder:
        (folder / "model.bin").write_bytes(b"x")
    with pytest.raises(FileNotFoundError), scratch(tmp_path) as folder:
        (folder / "model.bin").rename(tmp_path / "none" / "there")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert [path.read_bytes() for path in tmp_path.rglob("model.bin")] == [b"secret"]
    with scratch(tmp_path):
        assert len(folders(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_is_at_work_with_is_left_alone(tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    with scratch(tmp_path):
        assert len(folders(tmp_path)) == 2
    assert len(list(tmp_path.rglob("model.bin"))) == 1
    owner.kill()
    owner.wait()


def test_a_folder_that_was_never_locked_is_removed_once_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{PREFIX}new").mkdir()
    with scratch(tmp_path):
        assert len(folders(tmp_path)) == 2
    monkeypatch.setattr(module, "UNLOCKED", -1.0)
    time.sleep(0.01)
    with scratch(tmp_path):
        assert len(folders(tmp_path)) == 1


def test_a_folder_that_is_swept_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = module.fcntl.flock, []

    def swept_first(file: object, how: int) -> None:
        if not taken:
            taken.append(Path(file.name).parent)  # type: ignore[attr-defined]
            module.shutil.rmtree(taken[0])
        lock(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(module.fcntl, "flock", swept_first)
    with scratch(tmp_path) as folder:
        assert folder.parent not in taken
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []
