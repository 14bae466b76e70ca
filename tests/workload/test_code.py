"""Which code a function is made of: what it uses, also in other modules of one's own, and nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from muster.workload.code import code_digest
from muster.workload.functions import FunctionNotFound, own_module
from muster.workload.spec import Workload

WORKLOAD = Workload.model_construct(name="made")
OWN = '''
"""A docstring."""
import acme_effect
import acme_limits
import numpy as np
from acme_features.late import late
from datetime import date

LIMIT = 5
SIZE = 6
SCALE = 2.0
OTHER = 3.0
TABLE = {}
TABLE["a"] = 1
RATES = []
_ = RATES.append(1)
SAME = RATES
SAME += [5]


class Kind:
    kinds = []

    def __init_subclass__(cls):
        Kind.kinds.append(cls)


class One(Kind):
    factor = 3


def set_scale():
    global SCALE
    SCALE = 7


DONE: int = set_scale()


def with_default(value=RATES.append(9)):
    return value


def features(rows):
    return late(_scaled(rows))


def _scaled(rows):
    """Scale, but not by OTHER."""
    # a comment
    rows = rows.query("date > @LIMIT and date < @acme_limits.HIGH")[globals()["SIZE"]]
    named = __import__("acme_named").X + importlib.import_module("acme_named_too").X
    named += importlib.import_module(name="acme_by_keyword").X + importlib.import_module(".beside", "acme_features").X
    return rows * SCALE + named


def deliver(landed):
    return OTHER, acme_limits, date
'''

DEEP_CODE = """
from importlib import import_module
import pandas

INNER = import_module(".inner", __package__)

def hours(rows):
    return rows
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workload's file that uses a package of one's own, which is not installed but on the path."""
    package = tmp_path / "lib" / "acme_features"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("VALUE = 1\n")
    (tmp_path / "lib" / "acme_effect.py").write_text("X = 1\n")
    (tmp_path / "lib" / "acme_limits.py").write_text("HIGH = 1\n")
    for name in ("acme_named", "acme_named_too", "acme_by_keyword", "acme_features/beside", "acme_features/inner"):
        (tmp_path / "lib" / f"{name}.py").write_text("X = 1\n")
    (package / "late.py").write_text("from .deep import hours\n\n\ndef late(rows):\n    return hours(rows)\n")
    (package / "deep.py").write_text(DEEP_CODE)
    (package / "apart.py").write_text("X = 1\n")
    (tmp_path / "made.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("acme_", "muster_workload_made"))]:
        del sys.modules[name]


@pytest.fixture
def changed(folder: Path) -> Callable[[str, str, str], bool]:
    """Return whether a change of a file changes the digest."""

    def change(file: str, before: str, after: str) -> bool:
        importlib.invalidate_caches()
        digest, path = code_digest(WORKLOAD, folder, "features"), folder / file
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
        return code_digest(WORKLOAD, folder, "features") != digest

    return change


DEEP = "lib/acme_features/deep.py"
COUNTS = [
    ("made.py", "late(_scaled", "late(1 + _scaled"),
    ("made.py", "rows * SCALE", "rows - SCALE"),
    ("made.py", "SCALE = 2.0", "SCALE = 2.5"),
    ("made.py", "LIMIT = 5", "LIMIT = 6"),
    ("made.py", "SIZE = 6", "SIZE = 7"),
    ("made.py", '["a"] = 1', '["a"] = 2'),
    ("made.py", "RATES.append(1)", "RATES.append(2)"),
    ("made.py", "SAME += [5]", "SAME += [6]"),
    ("made.py", "factor = 3", "factor = 4"),
    ("made.py", "SCALE = 7", "SCALE = 8"),
    ("made.py", "RATES.append(9)", "RATES.append(10)"),
    ("lib/acme_features/late.py", "hours(rows)", "hours(rows) + 1"),
    ("lib/acme_features/__init__.py", "VALUE = 1", "VALUE = 2"),
    ("lib/acme_effect.py", "X = 1", "X = 2"),
    ("lib/acme_limits.py", "HIGH = 1", "HIGH = 2"),
    ("lib/acme_named.py", "X = 1", "X = 2"),
    ("lib/acme_named_too.py", "X = 1", "X = 2"),
    ("lib/acme_by_keyword.py", "X = 1", "X = 2"),
    ("lib/acme_features/beside.py", "X = 1", "X = 2"),
    ("lib/acme_features/inner.py", "X = 1", "X = 2"),
    (DEEP, "return rows", "return rows + 1"),
]
COUNTS_NOT = [
    ("made.py", "a comment", "another"),
    ("made.py", "SCALE = 2.0", "SCALE  =  2.0\n\n"),
    ("made.py", "A docstring", "Another"),
    ("made.py", "OTHER = 3.0", "OTHER = 4.0"),
    ("made.py", "return OTHER", "return 1, OTHER"),
    ("made.py", "from datetime import date", "from pandas import Timestamp as date"),
    ("made.py", "import numpy as np", "import scipy as np"),
    ("lib/acme_features/apart.py", "X = 1", "X = 2"),
]


@pytest.mark.parametrize(("file", "before", "after"), COUNTS)
def test_what_the_function_uses_counts(
    changed: Callable[[str, str, str], bool], file: str, before: str, after: str
) -> None:
    assert changed(file, before, after)


@pytest.mark.parametrize(("file", "before", "after"), COUNTS_NOT)
def test_what_it_does_not_use_does_not(
    changed: Callable[[str, str, str], bool], file: str, before: str, after: str
) -> None:
    assert not changed(file, before, after)


def test_a_function_of_a_module_is_made_of_its_package(folder: Path) -> None:
    importlib.invalidate_caches()
    before = code_digest(WORKLOAD, folder, "acme_features.late:late")
    (folder / DEEP).write_text("def hours(rows):\n    return 2 * rows\n")
    assert code_digest(WORKLOAD, folder, "acme_features.late:late") != before


def test_code_that_is_not_there_or_no_python_is_an_error_that_names_the_file(folder: Path) -> None:
    (folder / "made.py").write_text("def features(:")
    with pytest.raises(FunctionNotFound, match=r"made\.py"):
        code_digest(WORKLOAD, folder, "features")
    (folder / "made.py").unlink()
    with pytest.raises(FunctionNotFound, match=r"made\.py"):
        code_digest(WORKLOAD, folder, "features")


def test_a_changed_file_is_loaded_again_however_alike_the_two_are(folder: Path) -> None:
    file = folder / "plain.py"
    plain = Workload.model_construct(name="plain")
    for text in ("VALUE = 1\n", "VALUE = 2\n"):
        file.write_text(text)
        assert text.startswith(f"VALUE = {own_module(plain, folder).VALUE}")
    assert own_module(plain, folder) is own_module(plain, folder)
