"""`./muster` makes its environment once, again when the lock changes, and only one at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from muster_local import PROJECT

PYTHON = """#!/bin/sh
# A Python 3.11 that makes environments, and in one says what it was asked to run.
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo "venv" >> "$CALLS" ;;
    "-m muster_local") echo "ran: $*" ;;
    "-m pip") echo "pip $*" >> "$CALLS"; cp "$UV" "$(dirname "$0")/uv" ;;
    "-c "*"uv"*) echo "uv==0.0.0 --hash=sha256:00" ;;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >> "$CALLS"
sleep 0.2
if [ -n "$BROKEN" ]; then echo "cannot reach https://user:token@index/simple" >&2; exit 1; fi
"""


@dataclass
class Machine:
    """A checkout on a machine with a Python that is not one, and perhaps a uv."""

    root: Path

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / "checkout" / "muster", *arguments],
            env=self.env(**env),
            cwd=self.root,
            capture_output=True,
            text=True,
        )

    def env(self, **more: str) -> dict[str, str]:
        path = f"{self.root / 'bin'}:/usr/bin:/bin"
        return {"PATH": path, "CALLS": str(self.root / "calls"), "UV": str(self.root / "spare-uv"), **more}

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []


def program(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(PROJECT / "muster", checkout / "muster")
    (checkout / "requirements.txt").write_text("uv==0.0.0\n")
    (checkout / "pyproject.toml").write_text("[project]\n")
    program(tmp_path / "bin" / "python3.11", PYTHON)
    program(tmp_path / "bin" / "uv", UV)
    program(tmp_path / "spare-uv", UV)
    return Machine(tmp_path)


def test_the_first_call_installs_the_lock_with_its_digests_and_runs(machine: Machine) -> None:
    completed = machine.run("status", "--json")
    assert (completed.returncode, completed.stdout) == (0, "ran: -m muster_local status --json\n")
    assert machine.calls[0] == "venv"
    assert any("--require-hashes" in call for call in machine.calls)
    assert any("--no-deps" in call and "--editable" in call for call in machine.calls)


def test_the_second_call_installs_nothing(machine: Machine) -> None:
    machine.run()
    first = machine.calls
    assert machine.run().returncode == 0
    assert machine.calls == first


def test_another_lock_is_installed(machine: Machine) -> None:
    machine.run()
    first = machine.calls
    (machine.root / "checkout" / "requirements.txt").write_text("uv==0.0.1\n")
    machine.run()
    assert len(machine.calls) == len(first) + 2


def test_a_failed_install_hides_addresses_and_is_done_again(machine: Machine) -> None:
    broken = machine.run(BROKEN="yes")
    assert broken.returncode == 2
    assert "error: could not make the environment" in broken.stderr
    assert "token" not in broken.stderr
    assert machine.run().returncode == 0


def test_an_interrupted_install_is_done_again(machine: Machine) -> None:
    started = subprocess.Popen([machine.root / "checkout" / "muster"], env=machine.env(), start_new_session=True)
    while not any("uv" in call for call in machine.calls):
        assert started.poll() is None
    os.killpg(started.pid, 9)
    started.wait()
    interrupted = len(machine.calls)
    assert machine.run().returncode == 0
    assert len(machine.calls) == interrupted + 2


def test_two_at_once_install_once(machine: Machine) -> None:
    both = [subprocess.Popen([machine.root / "checkout" / "muster"], env=machine.env()) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert sum("--require-hashes" in call for call in machine.calls) == 1


def test_without_uv_pip_brings_the_one_of_the_lock(machine: Machine) -> None:
    (machine.root / "bin" / "uv").unlink()
    assert machine.run().returncode == 0
    assert "--require-hashes" in machine.calls[1]
    assert machine.calls[1].startswith("pip ")


def test_another_place_for_the_environment(machine: Machine) -> None:
    assert machine.run(MUSTER_VENV=str(machine.root / "elsewhere")).returncode == 0
    assert (machine.root / "elsewhere" / "bin" / "python").exists()


def test_a_symlink_to_the_command_finds_its_checkout(machine: Machine) -> None:
    link = machine.root / "bin" / "muster"
    link.symlink_to(machine.root / "checkout" / "muster")
    completed = subprocess.run(["muster", "down"], env=machine.env(), cwd="/", capture_output=True, text=True)
    assert completed.stdout == "ran: -m muster_local down\n"


def test_no_python_is_told(machine: Machine) -> None:
    program(machine.root / "bin" / "python3.11", "#!/bin/sh\nexit 1\n")
    for name in ("python3", "python"):
        program(machine.root / "bin" / name, "#!/bin/sh\nexit 1\n")
    completed = machine.run()
    assert completed.returncode == 2
    assert "error: Python 3.11 with its venv module is needed" in completed.stderr
