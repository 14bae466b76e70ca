"""How an outcome is declared, and what is said of one that does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from muster.errors import WorkloadError
from muster.workload.load import load_workload
from muster.workload.spec import Workload

DECLARED = {
    "keys": ["depot"],
    "time": "at",
    "unique": ["id"],
    "columns": {
        "id": "string",
        "depot": "string",
        "at": "timestamp",
        "kg": "float?",
        "state": "string?",
        "ok": "bool?",
    },
    "features": {"columns": ["kg2"], "function": "os:getcwd"},
    "algorithms": {"ridge": "sklearn.linear_model.Ridge"},
    "windows": {"train": 28, "evaluate": 14},
    "schedule": {"start": "2024-01-01"},
}

LOGISTIC = {"logistic": "sklearn.linear_model.LogisticRegression"}


def loaded(tmp_path: Path, **sections: Any) -> Workload:
    file = tmp_path / "parcels.yaml"
    file.write_text(yaml.safe_dump({**DECLARED, **sections}))
    return load_workload(file)


def problems(tmp_path: Path, **sections: Any) -> dict[str, str]:
    with pytest.raises(WorkloadError) as error:
        loaded(tmp_path, **sections)
    return dict(error.value.problems)


def test_the_former_word_for_yes_and_no_goes_on_working(tmp_path: Path) -> None:
    former = loaded(tmp_path, label={"column": "kg", "above": 3})
    today = loaded(tmp_path, outcome={"binary": {"column": "kg", "above": 3}})
    assert former == today
    assert (today.outcome.kind, today.outcome.scale, today.gate.metric) == ("binary", "binary", "roc_auc")


def test_a_number_is_judged_by_its_squared_error_unless_declared(tmp_path: Path) -> None:
    outcome = {"regression": {"column": "kg", "transform": "log1p"}}
    workload = loaded(tmp_path, outcome=outcome)
    assert (workload.outcome.kind, workload.outcome.scale) == ("regression", "regression of log1p")
    assert workload.gate.metric == "rmse"
    assert loaded(tmp_path, outcome=outcome, gate={"metric": "mae", "baseline": 5}).gate.baseline == 5.0


@pytest.mark.parametrize(
    ("sections", "path", "problem"),
    [
        (
            {},
            "outcome",
            "write one kind of outcome: binary: {column: arr_delay, above: 15}; or regression: {column: arr_delay}; "
            "or none; or classes: {column: component, values: [none, pump, valve]}",
        ),
        ({"outcome": "regression"}, "outcome", "write one kind of outcome, not 'regression': binary:"),
        ({"outcome": {}}, "outcome", "write one kind of outcome: binary:"),
        (
            {"outcome": {"binary": {"column": "kg", "above": 1}, "regression": {"column": "kg"}}},
            "outcome",
            "write one kind of outcome, not binary and regression:",
        ),
        ({"outcome": {"regresion": {"column": "kg"}}}, "outcome.regresion", "did you mean 'regression'?"),
        ({"outcome": {"binary": {"column": "kg"}}}, "outcome.binary", "write 'above: 15', or 'equals:"),
        (
            {"outcome": {"none": {"report": {"column": "gk", "above": 0}}}},
            "outcome.none.report.column",
            "'gk' is none of the declared",
        ),
        (
            {"outcome": {"none": {"report": {"column": "state", "equals": [1]}}}},
            "outcome.none.report.equals",
            "'1' is no value of 'state', which is string",
        ),
        ({"outcome": "none"}, "gate.alerts", "is missing: without labels it tells a sane model, as [0.001, 0.05]"),
        ({"outcome": None}, "outcome", "write one kind of outcome"),
        ({"outcome": {"regression": {"column": "gk"}}}, "outcome.regression.column", "'gk' is none of the declared"),
        ({"outcome": {"regression": {"column": "ok"}}}, "columns.ok", "is the number to predict, so its type is int"),
        ({"outcome": {"binary": {"column": "state", "above": 1}}}, "columns.state", "of texts write 'equals: [...]'"),
        (
            {"outcome": {"binary": {"column": "kg", "equals": ["lost"]}}},
            "outcome.binary.equals",
            "'lost' is no value of 'kg', which is float",
        ),
        ({"label": {"column": "kg"}}, "label", "write 'above: 15'"),
        (
            {"label": {"column": "kg", "above": 1}, "outcome": {"regression": {"column": "kg"}}},
            "(file)",
            "'label' is the former word for a binary 'outcome': write one of them",
        ),
    ],
)
def test_what_does_not_hold_is_told_with_what_to_write(
    tmp_path: Path, sections: dict[str, Any], path: str, problem: str
) -> None:
    told = problems(tmp_path, **sections)
    assert problem in told[path]


@pytest.mark.parametrize(
    ("gate", "path", "problem"),
    [
        (
            {"metric": "roc_auc"},
            "gate.metric",
            "'roc_auc' does not go with 'outcome: regression': write rmse or mae or mape or pinball",
        ),
        ({"metric": "pinball"}, "gate.quantile", "is of 'metric: pinball', which needs it"),
        ({"quantile": 0.5}, "gate.quantile", "is of 'metric: pinball'"),
        ({"baseline": "mean"}, "gate.baseline", "'mean' is neither one of features.columns, nor a number, nor 'prior'"),
    ],
)
def test_a_gate_suits_the_outcome(tmp_path: Path, gate: dict[str, Any], path: str, problem: str) -> None:
    assert problem in problems(tmp_path, outcome={"regression": {"column": "kg"}}, gate=gate)[path]


CLASSES = {"column": "state", "values": ["none", "lost", "late-ish"]}


def test_classes_are_judged_by_their_log_loss_and_name_columns(tmp_path: Path) -> None:
    workload = loaded(tmp_path, outcome={"classes": CLASSES}, algorithms=LOGISTIC)
    outcome = workload.outcome
    assert (outcome.kind, outcome.scale) == ("classes", 'classes of ["none", "lost", "late-ish"]')
    assert (outcome.column, workload.gate.metric) == ("state", "log_loss")
    assert outcome.answers == {
        "probability_none": "none",
        "probability_lost": "lost",
        "probability_late_ish": "late-ish",
    }


@pytest.mark.parametrize(
    ("column", "values", "texts"),
    [("bool?", (False, True), ["false", "true"]), ("int [3, 5]", (3, 4, 5), ["3", "4", "5"])],
)
def test_a_columns_declaration_may_say_the_classes(
    tmp_path: Path, column: str, values: tuple[Any, ...], texts: list[str]
) -> None:
    columns = {**DECLARED["columns"], "grade": column}  # type: ignore[dict-item]
    outcome = loaded(tmp_path, outcome={"classes": {"column": "grade"}}, columns=columns, algorithms=LOGISTIC).outcome
    assert outcome.values == values
    assert list(outcome.answers.values()) == texts


@pytest.mark.parametrize(
    ("column", "values", "path", "problem"),
    [
        ("string", None, "outcome.classes.values", "is missing: 'x' tells it only as bool, or as int with both limits"),
        ("int [0, ]", None, "outcome.classes.values", "write 'values: [...]'"),
        ("int [1, 51]", None, "outcome.classes.values", "and 50 values at most; write 'values: [...]'"),
        ("float", ["a", "b"], "columns.x", "is the outcome's column, so its type is string, int or bool"),
        ("string", ["a"], "outcome.classes.values", "has 1; write 2 to 50 classes"),
        ("int", list(range(51)), "outcome.classes.values", "has 51; write 2 to 50 classes"),
        ("string", ["a", "b", "a"], "outcome.classes.values", "'a' is there twice"),
        ("string", [False, "yes"], "outcome.classes.values", "which is string; in quotes it is a text: 'false'"),
        ("int", ["1", "2"], "outcome.classes.values", "'1' is no value of 'x', which is int"),
        ("int", [1, 2**63], "outcome.classes.values", "'9223372036854775808' is no class: write texts (in quotes)"),
        ("string", [None, "b"], "outcome.classes.values", "'None' is no class: write texts (in quotes)"),
        (
            "string",
            ["a b", "a-b"],
            "outcome.classes.values",
            "'a b' and 'a-b' would share the column 'probability_a_b'",
        ),
        ("string", ["Pump", "pump"], "outcome.classes.values", "capitals tell no columns apart"),
        ("string", ["a" * 101, "b"], "outcome.classes.values", "is too long: 100 characters at most"),
    ],
)
def test_classes_that_do_not_hold_are_told(
    tmp_path: Path, column: str, values: list[Any] | None, path: str, problem: str
) -> None:
    columns, classes = {**DECLARED["columns"], "x": column}, {"column": "x"} | ({"values": values} if values else {})  # type: ignore[dict-item]
    told = problems(tmp_path, outcome={"classes": classes}, columns=columns, algorithms=LOGISTIC)
    assert problem in told[path]


@pytest.mark.parametrize(
    ("gate", "path", "problem"),
    [
        ({"metric": "rmse"}, "gate.metric", "'rmse' does not go with 'outcome: classes': write log_loss or roc_auc"),
        ({"baseline": "kg2"}, "gate.baseline", "'kg2' is no probability of each class"),
        ({"baseline": 0.5}, "gate.baseline", "'0.5' is no probability of each class; leave it out"),
        ({"alerts": [0.0, 0.1]}, "gate.alerts", "is of 'outcome: none'"),
    ],
)
def test_a_gate_suits_classes(tmp_path: Path, gate: dict[str, Any], path: str, problem: str) -> None:
    assert problem in problems(tmp_path, outcome={"classes": CLASSES}, gate=gate, algorithms=LOGISTIC)[path]


UNLABELLED = {"outcome": "none", "algorithms": {"forest": "sklearn.ensemble.IsolationForest"}}


def test_without_labels_a_volume_is_judged_and_nothing_is_read(tmp_path: Path) -> None:
    workload = loaded(tmp_path, **UNLABELLED, gate={"alerts": [0.001, 0.05], "agreement": 0.5})
    outcome = workload.outcome
    assert (outcome.kind, outcome.scale, outcome.column, workload.gate.metric) == ("none", "none", None, "mass_volume")
    reported = loaded(
        tmp_path,
        **{**UNLABELLED, "outcome": {"none": {"report": {"column": "ok", "equals": [True]}}}},
        gate={"alerts": [0.0, 0.05]},
    )
    assert reported.outcome.column == "ok"


@pytest.mark.parametrize(
    ("gate", "path", "problem"),
    [
        ({"alerts": [0.05, 0.001]}, "gate.alerts", "[0.05, 0.001] ends before it begins"),
        ({"alerts": [0.0, 2.0]}, "gate.alerts.1", "2.0 is too large: 1.0 at most"),
        (
            {"alerts": [0.0, 0.1], "metric": "roc_auc"},
            "gate.metric",
            "'roc_auc' does not go with 'outcome: none': write mass_volume",
        ),
        ({"alerts": [0.0, 0.1], "at_least": 1}, "gate.at_least", "what ranks at random has a mass_volume of 0.95"),
        ({"alerts": [0.0, 0.1], "agreement": 0}, "gate.agreement", "is too small: more than 0"),
    ],
)
def test_a_gate_without_labels_says_what_is_sane(tmp_path: Path, gate: dict[str, Any], path: str, problem: str) -> None:
    assert problem in problems(tmp_path, **UNLABELLED, gate=gate)[path]


@pytest.mark.parametrize("key", ["alerts", "agreement"])
def test_where_there_are_labels_they_say_more(tmp_path: Path, key: str) -> None:
    gate = {key: [0.0, 0.1] if key == "alerts" else 0.5}
    told = problems(tmp_path, outcome={"regression": {"column": "kg"}}, gate=gate)
    assert "is of 'outcome: none': labels say more" in told[f"gate.{key}"]


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ("shift", "'shift' is neither 'day' nor 'row', nor one of"),
        ("kg", "'kg' may be missing"),
        ("depot", "'depot' is one of the keys: a group's rows all have one value in it"),
    ],
)
def test_what_is_drawn_as_one_is_a_column_of_every_row(tmp_path: Path, column: str, problem: str) -> None:
    told = problems(tmp_path, outcome={"regression": {"column": "kg"}}, gate={"resample": column})
    assert problem in told["gate.resample"]


def test_a_column_may_say_what_is_drawn_as_one(tmp_path: Path) -> None:
    outcome = {"regression": {"column": "kg"}}
    assert loaded(tmp_path, outcome=outcome, gate={"resample": "id"}).resample_by == "id"
    assert loaded(tmp_path, outcome=outcome).resample_by is None
