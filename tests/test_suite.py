"""How the suite is spread over its workers, and what its tiers may take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from muster_local import PROJECT
from muster_local.cli.test import PARALLEL
from tests.tiers import TIERS, lines, minutes

TESTS = """
import os
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_where(number):
    with open("workers.txt", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


@pytest.mark.slow
def test_tests_of_one_group_run_on_one_worker(tmp_path: Path) -> None:
    """A release of pytest made xdist ignore groups without a word: two workers then used one thing at once."""
    (tmp_path / "test_where.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", *PARALLEL, "test_where.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    workers = (tmp_path / "workers.txt").read_text().split()
    assert len(workers) == 8
    assert len(set(workers)) == 1


def test_budgets_are_those_of_the_page() -> None:
    page = (PROJECT / "docs" / "testing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\d+) \| ([^|]+) \|", page, re.MULTILINE)
    assert [(name, float(budget), starts.strip()) for name, budget, starts in rows] == [
        (tier.name, tier.budget, tier.starts) for tier in TIERS
    ]


def test_a_test_is_of_the_first_tier_that_holds_it() -> None:
    def report(place: str, *marks: str) -> SimpleNamespace:
        return SimpleNamespace(nodeid=place, keywords=dict.fromkeys(marks, 1), duration=90.0)

    reports = [
        report("tests/e2e/test_runs.py::test_a", "e2e", "slow"),
        report("tests/mlflow_faults/test_nothing_twice.py::test_b", "slow", "spark"),
        report("tests/jobs/test_train.py::test_c", "spark"),
        report("tests/local/test_service.py::test_d", "slow"),
        *[report("tests/test_groups.py::test_e")] * 4,
    ]
    assert minutes(reports) == {"e2e": 1.5, "faults": 1.5, "spark": 1.5, "services": 1.5, "quick": 6.0}
    assert [line.split()[0] for line in lines(reports)] == [tier.name for tier in TIERS]
    assert [line.endswith("OVER") for line in lines(reports)] == [False, False, False, False, True]
