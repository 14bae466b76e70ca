"""What pydantic cannot check: columns that are declared, dates that fit the schedule, functions that exist."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from muster.workload.rule import Rule
from muster.workload.spec import RESERVED, Parent, Workload
from muster.workload.windows import slice_of
from muster.workload.wording import Problem

_KIND_OF_TYPE = {"int": "number", "float": "number", "date": "time", "timestamp": "time"}
"""Which types of columns a rule may compare with each other; any other only with its own."""


def names(workload: Workload) -> Iterator[Problem]:
    """Find columns that are named but not declared, or named twice."""
    columns = workload.columns
    # The time is the one column that may bear the name that Muster gives it.
    for name in RESERVED & (columns.keys() - ({workload.time} & {"time"})):
        yield f"columns.{name}", "is a name that Muster writes itself; land the column under another name"
    named = [("keys", workload.keys), ("unique", workload.unique)]
    named += [("time", (workload.time,)), ("label.column", (workload.label.column,))]
    for path, listed in named:
        for name in dict.fromkeys(listed):
            if name not in columns:
                yield path, f"'{name}' is none of the declared columns"
            if listed.count(name) > 1:
                yield path, f"'{name}' is there twice"


def types(workload: Workload) -> Iterator[Problem]:
    """Find columns whose type does not suit what they are for."""
    columns = workload.columns
    for name in dict.fromkeys((*workload.keys, *workload.unique, workload.time)):
        if name in columns and columns[name].optional:
            yield f"columns.{name}", "may not be missing ('?'): it is a key, the time or part of 'unique'"
    if workload.time in columns and columns[workload.time].type != "timestamp":
        yield f"columns.{workload.time}", "is the time, so its type is 'timestamp'"
    if workload.label.column in columns and columns[workload.label.column].type not in ("int", "float", "bool"):
        yield f"columns.{workload.label.column}", "is the label's column, so its type is int, float or bool"
    for key in workload.keys:
        if key in columns and columns[key].type not in ("string", "int", "date"):
            yield f"columns.{key}", "is a key, so its type is string, int or date"


def rules(workload: Workload) -> Iterator[Problem]:
    """Find rules across columns that are not declared, or that cannot be compared."""
    for name, rule in workload.rules.items():
        missing = [side for side in (rule.left, rule.right) if side not in workload.columns]
        for side in missing:
            yield f"rules.{name}", f"'{side}' is none of the declared columns"
        if not missing:
            yield from ((f"rules.{name}", problem) for problem in _not_comparable(workload, rule))


def _not_comparable(workload: Workload, rule: Rule) -> Iterator[str]:
    left, right = (_KIND_OF_TYPE.get(workload.columns[side].type, "other") for side in (rule.left, rule.right))
    if rule.left == rule.right:
        yield f"compares '{rule.left}' with itself"
    if left != right or (left == "other" and workload.columns[rule.left].type != workload.columns[rule.right].type):
        yield f"'{rule.left}' and '{rule.right}' are of types that cannot be compared"
    elif left == "other" and (rule.comparison not in ("==", "!=") or rule.plus):
        yield f"'{rule.left}' is neither a number nor a time: it can be compared by == and != only, without an amount"
    elif left == "time" and rule.plus and rule.unit is None:
        yield "the amount needs a unit of time: s, min, h or d"
    elif left == "number" and rule.unit is not None:
        yield f"the amount has the unit '{rule.unit}', but '{rule.left}' is a number"


def features(workload: Workload) -> Iterator[Problem]:
    """Find features whose names are taken, and a baseline that is none of them."""
    columns = workload.features.columns
    for number, name in enumerate(columns):
        if name in RESERVED | set(workload.keys) or name in columns[:number]:
            yield f"features.columns.{number}", f"'{name}' is taken; give the feature another name"
    if workload.gate.baseline not in ("prior", *columns):
        yield "gate.baseline", f"'{workload.gate.baseline}' is neither 'prior' nor one of features.columns"


def fallback(workload: Workload) -> Iterator[Problem]:
    """Find a parent that pools by what is no key, or over nothing."""
    parent = workload.pack.fallback
    if not isinstance(parent, Parent):
        return
    for key in parent.keys:
        if key not in workload.keys:
            yield "pack.fallback.keys", f"'{key}' is none of the keys"
    if set(parent.keys) >= set(workload.keys):
        yield "pack.fallback.keys", "must leave out at least one key to pool over"


def schedule(workload: Workload) -> Iterator[Problem]:
    """Find dates that are no partitions of the schedule."""
    declared = workload.schedule
    if declared.end is not None and declared.end < declared.start:
        yield "schedule.end", f"{declared.end} is before the start {declared.start}"
    for number, day in enumerate(declared.demo):
        outside = day < declared.start or (declared.end is not None and day > declared.end)
        if outside or slice_of(workload, day) != day:
            yield f"schedule.demo.{number}", f"{day} starts no slice of {declared.every} days from {declared.start}"
    if declared.cron is not None and len(declared.cron.split()) != 5:
        yield "schedule.cron", f"'{declared.cron}' is no cron expression of five fields"


def feature_function(workload: Workload, file: Path) -> Iterator[Problem]:
    """Find a feature function that is not there."""
    yield from _reference("features.function", workload.features.function, file)


def landing_function(workload: Workload, file: Path) -> Iterator[Problem]:
    """Find a landing function that is not there."""
    if workload.landing:
        yield from _reference("landing", workload.landing, file)


def algorithms(workload: Workload, file: Path) -> Iterator[Problem]:
    """Find estimators of modules that are not installed, or of functions that are not there."""
    steps = [
        (f"algorithms.{name}.{number}", step)
        for name, algorithm in workload.algorithms.items()
        for number, step in enumerate(algorithm.steps)
    ]
    for path, step in steps:
        if ":" in step.name:
            yield from _reference(path, step.name, file)
        elif "." not in step.name:
            own = f"or ':{step.name}' for a function of '{file.name}'"
            yield path, f"'{step.name}' is no class by its dotted name: sklearn.linear_model.LogisticRegression, {own}"
        elif not _installed(step.name):
            yield path, f"'{step.name}': no module '{step.name.split('.')[0]}' is installed"


def _reference(path: str, reference: str, file: Path) -> Iterator[Problem]:
    """Check `name` (a function of `file`) or `module:name`, without running either."""
    module, _, attribute = reference.rpartition(":")
    if module:
        if not _installed(module):
            yield path, f"'{reference}': no module '{module}' is installed"
    elif not file.is_file():
        yield path, f"'{attribute}': there is no file '{file.name}' beside the YAML to define it"
    else:
        yield from _definition(path, attribute, file)


def _definition(path: str, name: str, file: Path) -> Iterator[Problem]:
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        yield path, f"'{name}': '{file.name}' is no Python: {error.args[0]}{line}"
        return
    defined = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    if name not in defined:
        yield path, f"'{name}': '{file.name}' defines no such function"


def _installed(module: str) -> bool:
    top = module.split(".")[0]
    return top.isidentifier() and importlib.util.find_spec(top) is not None


SECTION_CHECKS = (names, types, rules, features, fallback, schedule)
FILE_CHECKS = (feature_function, landing_function, algorithms)
