"""A run's name: changed by all that changes a model, and by nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muster.training.run_name import run_name
from muster.workload.spec import Workload
from tests.training.conftest import context_of


@pytest.fixture
def name(declare: Callable[..., Workload], folder: Path) -> Callable[..., str]:
    def make(content: str = "3:c", partition: str = "2024-02-05", **changes: Any) -> str:
        workload = declare(**{"algorithms": {"one": ":logistic"}, **changes})
        return run_name(context_of(workload, folder).at(partition), {"2024-01-15": content})

    return make


def test_a_name_is_the_partition_and_a_digest(name: Callable[..., str]) -> None:
    assert re.fullmatch(r"2024-02-05-[0-9a-f]{8}", name())
    assert name() == name()


@pytest.mark.parametrize(
    "change",
    [
        {"content": "3:d"},
        {"seed": 1},
        {"algorithms": {"one": {":logistic": {"strength": 2}}}},
        {"algorithms": {"other": ":logistic"}},
        {"algorithms": {"one": ":logistic", "two": ":logistic"}},
        {"algorithms": {"one": {"steps": ":logistic", "search": {"grid": {"strength": [1, 2]}}}}},
        {"windows": {"train": 7, "evaluate": 7}},
        {"windows": {"train": 14, "evaluate": 7, "min_rows": 30}},
        {"features": {"columns": ["noise", "signal"]}},
    ],
)
def test_what_changes_the_models_changes_the_name(change: dict[str, Any], name: Callable[..., str]) -> None:
    assert name(**change) != name()


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Another text."},
        {"owner": "somebody"},
        {"max_failed": 0.1},
        {"gate": {"win_rate": 0.8}},
        {"schedule": {"start": "2024-01-01", "cron": "0 6 * * 1"}},
        {"features": {"columns": ["signal", "noise"], "buckets": 7}},
    ],
)
def test_what_changes_no_model_leaves_the_name(change: dict[str, Any], name: Callable[..., str]) -> None:
    assert name(**change) == name()


def test_the_own_functions_code_is_part_of_the_name(name: Callable[..., str], folder: Path) -> None:
    before, builtin = name(), name(algorithms={"one": "sklearn.linear_model.LogisticRegression"})
    own = folder / "made.py"
    own.write_text(own.read_text().replace("strength=1.0", "strength=2.0"))
    assert name() != before
    assert name(algorithms={"one": "sklearn.linear_model.LogisticRegression"}) == builtin


@pytest.mark.parametrize("step", ["acme_classes.one.Own", "acme_functions.one:make"])
def test_the_code_of_an_own_class_is_part_of_the_name(
    name: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    package = tmp_path / "lib" / step.partition(".")[0]  # a name of its own: what is imported once stays
    package.mkdir(parents=True)
    (package / "one.py").write_text(
        "from .two import Two\n\n\nclass Own(Two):\n    pass\n\n\ndef make():\n    return Own()"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    names = []
    for power in (1, 1, 2):
        (package / "two.py").write_text(f"class Two:\n    power = {power}\n")
        names.append(name(algorithms={"one": step}))
    assert names[0] == names[1] != names[2]


def test_the_version_of_a_steps_own_library_is_part_of_the_name(
    name: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = [{"one": "lightgbm.LGBMClassifier"}, {"one": ":logistic"}]
    before = [name(algorithms=algorithms) for algorithms in declared]
    monkeypatch.setattr("muster.models.bundle._version", lambda name: "9.9")
    assert [name(algorithms=algorithms) == same for algorithms, same in zip(declared, before, strict=True)] == [
        False,
        True,
    ]


def test_groups_that_are_stale_change_the_name_whatever_their_order_and_none_leaves_it(
    declare: Callable[..., Workload], folder: Path
) -> None:
    context = context_of(declare(algorithms={"one": ":logistic"}), folder).at("2024-02-05")
    names = [run_name(context, {}, stale) for stale in ((), ("a",), ("a", "b"), ("b", "a"))]
    assert names[0] == run_name(context, {})
    assert names[2] == names[3]
    assert len(set(names)) == 3
