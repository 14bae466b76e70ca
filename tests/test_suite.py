"""How the suite is spread over its workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from muster_local.cli.test import WORKERS

TESTS = """
import os
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_where(number):
    with open("workers.txt", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


def test_tests_of_one_group_run_on_one_worker(tmp_path: Path) -> None:
    """A release of pytest made xdist ignore groups without a word: two workers then used one thing at once."""
    (tmp_path / "test_where.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *WORKERS, "test_where.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    workers = (tmp_path / "workers.txt").read_text().split()
    assert len(workers) == 8
    assert len(set(workers)) == 1
