"""Environments of a test's own: what is declared, installed at the versions of the lock, ready to import."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from muster_local import PROJECT

UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
PACKAGES = Path("lib", f"python3.{sys.version_info.minor}", "site-packages")


def make(venv: Path, *wanted: str, locked: bool) -> None:
    """Make an environment and install what is wanted, with all that it declares.

    Locked, at the versions of the lock: from what uv has kept of the checkout's own environment, as far as that goes,
    else from the package index. Otherwise at those that the index has now.
    """
    run([UV, "venv", "--quiet", "--python", sys.executable, str(venv)])
    install = [UV, "pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), *wanted]
    if locked:
        install += ["--constraints", str(PROJECT / "requirements.txt")]
        try:
            run([*install, "--offline"])
        except AssertionError:
            run(install)
    else:
        run(install)
    _link_bytecode(venv)


def _link_bytecode(venv: Path) -> None:
    """Give an environment the bytecode of the packages that this one has too: compiling all that Airflow and MLflow
    import takes most of a minute. Python looks at each file's time and size, and compiles what is another's."""
    for folder, names, files in os.walk(Path(sys.prefix, PACKAGES)):
        if not folder.endswith("__pycache__"):
            continue
        names.clear()
        own = venv / PACKAGES / Path(folder).relative_to(Path(sys.prefix, PACKAGES))
        if own.parent.is_dir() and not own.exists():
            own.mkdir()
            for name in files:
                _link(Path(folder, name), own / name)


def _link(file: Path, to: Path) -> None:
    try:
        to.hardlink_to(file)
    except OSError:  # on another disk
        shutil.copy2(file, to)


def run(command: Sequence[str]) -> None:
    """Run a command in the checkout; raise with all that it told when it fails."""
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False)
    # uv's errors name the address of the package index, which may hold a token.
    assert done.returncode == 0, re.sub(r"(https?|file)://\S*", "<address>", done.stdout + done.stderr)
