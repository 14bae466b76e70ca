"""What is wrong with an outcome, the keys of the gate that are about its kind, and what predictions are to have."""

from __future__ import annotations

from collections.abc import Iterator

from muster.workload.outcome import MOST, Binary, Classes, Outcome, class_text
from muster.workload.spec import PREDICTED, Gate, Workload
from muster.workload.wording import Problem


def outcome_type(workload: Workload) -> Iterator[Problem]:
    """Find an outcome whose column holds other values than it is made of."""
    outcome, read, column = workload.outcome, workload.outcome.read, workload.outcome.column
    if column is None or column not in workload.columns:
        return
    kind = workload.columns[column].type
    if isinstance(read, Classes):
        yield from _classes(read, kind)
    elif isinstance(read, Binary) and read.equals is not None:
        wrong = [value for value in read.equals if not _is_of(value, kind)]
        if wrong:
            yield f"{outcome_path(workload, 'equals')}", f"'{wrong[0]}' is no value of '{column}', which is {kind}"
    elif kind not in ("int", "float") and (outcome.regression or kind != "bool"):
        what = "is the number to predict" if outcome.regression else "is the outcome's column"
        types = "int or float" if outcome.regression else "int, float or bool; of texts write 'equals: [...]'"
        yield f"columns.{column}", f"{what}, so its type is {types}"


def _classes(declared: Classes, kind: str) -> Iterator[Problem]:
    """Find classes that are no values of their column, or that it does not tell."""
    if kind not in ("string", "int", "bool"):
        yield f"columns.{declared.column}", "is the outcome's column, so its type is string, int or bool"
    elif declared.values is None:
        if "values" not in declared.model_fields_set:  # its own problem, where it does not hold
            return
        why = f"is missing: '{declared.column}' tells it only as bool, or as int with both limits"
        yield "outcome.classes.values", f"{why} and {MOST} values at most; write 'values: [...]'"
    elif wrong := [value for value in declared.values if not _is_of(value, kind)]:
        hint = f"; in quotes it is a text: '{class_text(wrong[0])}'" if kind == "string" else ""
        yield "outcome.classes.values", f"'{wrong[0]}' is no value of '{declared.column}', which is {kind}{hint}"


def only_baseline(outcome: Outcome, baseline: str | float) -> str | None:
    """Return what is wrong with a baseline that has no probability for each class; else None."""
    if outcome.classes is None or baseline == "prior":
        return None
    return f"'{baseline}' is no probability of each class; leave it out: the baseline is 'prior', their shares"


def outcome_path(workload: Workload, key: str = "column") -> str:
    """Return the dotted path of a key of what labels are read from."""
    kind = workload.outcome.kind
    return f"outcome.{kind}.report.{key}" if workload.outcome.none else f"outcome.{kind}.{key}"


def _is_of(value: object, kind: str) -> bool:
    """Tell whether a value of the YAML can be one of a column of this type."""
    if kind in ("int", "float"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"bool": bool, "string": str}.get(kind, ()))


def without_labels(gate: Gate, unlabelled: bool) -> Iterator[Problem]:
    """Find what is to be said without labels and is not, or is said where there are labels."""
    if unlabelled and gate.alerts is None:
        yield (
            "gate.alerts",
            "is missing: without labels it tells a sane model, as [0.001, 0.05] of the rows to alert on",
        )
    elif gate.alerts is not None and gate.alerts[0] > gate.alerts[1]:
        yield "gate.alerts", f"{list(gate.alerts)} ends before it begins: write the smaller share first"
    for key in ("alerts", "agreement"):
        if not unlabelled and getattr(gate, key) is not None:
            yield f"gate.{key}", "is of 'outcome: none': labels say more; leave it out"


def predictions(workload: Workload) -> Iterator[Problem]:
    """Find columns that predictions cannot have of their rows."""
    outcome = getattr(workload, "outcome", None)  # its own problem, where it does not hold
    taken = {*PREDICTED, *(name.lower() for name in (outcome.answers if outcome else ()))}
    for place, name in enumerate(workload.predictions.columns):
        path = f"predictions.columns.{place}"
        if name not in workload.columns:
            yield path, f"'{name}' is none of the declared columns"
        elif name.lower() in taken:
            yield path, f"predictions have '{name}' of their own, or have it twice; leave it out"
        taken.add(name.lower())
