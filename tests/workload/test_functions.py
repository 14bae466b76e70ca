"""A workload's own functions are loaded, or it is said in one line why not: with the file and its line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster.workload.code import code_digest
from muster.workload.functions import FunctionNotFound, NotImportable, function
from muster.workload.spec import Workload

WORKLOAD = Workload.model_construct(name="made")
ENDS = "import sys\nsys.exit(0)\n"
BROKEN = {
    "raises": ("# first\n1 / 0\n", "line 2, cannot be imported: ZeroDivisionError: division by zero"),
    "no Python": ("def features(:\n", "line 1, cannot be imported: SyntaxError: "),
    "ends the process": (ENDS, "line 2, cannot be imported: SystemExit: 0"),
    "imports what is not there": ("import nunpy\n", "line 1, cannot be imported: ModuleNotFoundError: No module named"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of workloads on Python's path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("acme_broken", "muster_workload_made"))]:
        del sys.modules[name]


@pytest.mark.parametrize(("text", "problem"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize(("file", "reference"), [("made.py", "features"), ("acme_broken.py", "acme_broken:features")])
def test_a_file_that_cannot_be_imported_is_told_with_its_line_each_time(
    folder: Path, file: str, reference: str, text: str, problem: str
) -> None:
    (folder / file).write_text(text)
    for _ in range(2):
        with pytest.raises(NotImportable) as refused:
            function(WORKLOAD, folder, reference)
        assert str(refused.value).startswith(f"'{folder / file}', {problem}")


def test_a_package_that_ends_the_process_is_told_too_and_its_code_is_looked_at_all_the_same(folder: Path) -> None:
    package = folder / "acme_broken"
    package.mkdir()
    (package / "__init__.py").write_text(ENDS)
    (package / "late.py").write_text("def features(rows): ...\n")
    assert code_digest(WORKLOAD, folder, "acme_broken.late:features")
    with pytest.raises(NotImportable, match=r"acme_broken/__init__\.py', line 2, cannot be imported: SystemExit: 0"):
        function(WORKLOAD, folder, "acme_broken.late:features")


def test_a_module_that_is_not_there_is_no_file_that_cannot_be_imported(folder: Path) -> None:
    with pytest.raises(FunctionNotFound, match="looked in nowhere_at_all: No module named 'nowhere_at_all'"):
        function(WORKLOAD, folder, "nowhere_at_all:features")


def test_the_digest_of_code_that_imports_what_is_no_python_names_that_file(folder: Path) -> None:
    (folder / "made.py").write_text("import acme_broken\n\n\ndef features(rows): ...\n")
    (folder / "acme_broken.py").write_text("\ndef late(:\n")
    with pytest.raises(FunctionNotFound, match=r"\(acme_broken\.py, line 2\)"):
        code_digest(WORKLOAD, folder, "features")
