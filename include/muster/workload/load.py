"""Read a workload's YAML: every problem at once, with its file and dotted path; runs none of the workload's code."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from muster.errors import UnknownName, WorkloadError
from muster.workload.spec import RESERVED, Parent, Workload
from muster.workload.windows import slice_of

Problem = tuple[str, str]


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                problem = f"the key '{key}' stands here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def workload_files(folder: Path) -> list[Path]:
    """Return the YAML files of `folder`, sorted by name."""
    return sorted(folder.glob("*.yaml"))


def find_workload(name: str, folder: Path) -> Workload:
    """Return the workload called `name`.

    Raises:
        UnknownName: when no file of `folder` bears it.
        WorkloadError: when its file does not hold.
    """
    path = folder / f"{name}.yaml"
    if path not in workload_files(folder):
        raise UnknownName("workload", name, (file.stem for file in workload_files(folder)))
    return load_workload(path)


def load_workload(path: Path) -> Workload:
    """Return the workload that `path` declares; its name is the file's.

    Raises:
        WorkloadError: with every problem of the file.
    """
    try:
        declared = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WorkloadError(str(path), [("(file)", " ".join(str(error).split()))]) from error
    if not isinstance(declared, dict):
        raise WorkloadError(str(path), [("(file)", f"holds {type(declared).__name__}, not the sections of a workload")])
    try:
        workload = Workload.model_validate({"name": path.stem, **declared})
    except ValidationError as error:
        raise WorkloadError(str(path), list(_shape_problems(error))) from error
    problems = [*_column_problems(workload), *_feature_problems(workload), *_schedule_problems(workload)]
    problems += list(_function_problems(workload, path.parent))
    if workload.name != path.stem:
        problems.append(("name", f"'{workload.name}' is not the file's name '{path.stem}'; leave it out"))
    if problems:
        raise WorkloadError(str(path), problems)
    return workload


def _shape_problems(error: ValidationError) -> Iterator[Problem]:
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(file)"
        value = repr(item["input"])
        shown = "" if item["type"] == "missing" else f" (got {value if len(value) <= 60 else value[:57] + '...'})"
        yield where, item["msg"].removeprefix("Value error, ") + shown


def _column_problems(workload: Workload) -> Iterator[Problem]:
    columns = workload.columns
    for name in RESERVED & columns.keys() - {workload.time}:
        yield f"columns.{name}", "is a name that Muster writes itself; land the column under another name"
    named = [("keys", workload.keys), ("unique", workload.unique)]
    named += [("time", (workload.time,)), ("label.column", (workload.label.column,))]
    for path, names in named:
        for name in names:
            if name not in columns:
                yield path, f"'{name}' is none of the declared columns"
    for name in (*workload.keys, *workload.unique, workload.time):
        if name in columns and columns[name].optional:
            yield f"columns.{name}", "may not be missing ('?'): it is a key, the time or part of 'unique'"
    if workload.time in columns and columns[workload.time].type != "timestamp":
        yield f"columns.{workload.time}", "is the time, so its type is 'timestamp'"
    if workload.label.column in columns and columns[workload.label.column].type not in ("int", "float", "bool"):
        yield f"columns.{workload.label.column}", "is the label's column, so its type is int, float or bool"
    for key in workload.keys:
        if key in columns and columns[key].type not in ("string", "int", "date"):
            yield f"columns.{key}", "is a key, so its type is string, int or date"


def _feature_problems(workload: Workload) -> Iterator[Problem]:
    features, fallback = workload.features, workload.pack.fallback
    for number, name in enumerate(features.columns):
        if name in RESERVED | set(workload.keys) or name in features.columns[:number]:
            yield f"features.columns.{number}", f"'{name}' is taken; give the feature another name"
    if workload.gate.baseline not in ("prior", *features.columns):
        yield "gate.baseline", f"'{workload.gate.baseline}' is neither 'prior' nor one of features.columns"
    if isinstance(fallback, Parent):
        for key in fallback.keys:
            if key not in workload.keys:
                yield "pack.fallback.keys", f"'{key}' is none of the keys"
        if set(fallback.keys) >= set(workload.keys):
            yield "pack.fallback.keys", "must leave out at least one key to pool over"


def _schedule_problems(workload: Workload) -> Iterator[Problem]:
    schedule = workload.schedule
    if schedule.end is not None and schedule.end < schedule.start:
        yield "schedule.end", f"{schedule.end} is before the start {schedule.start}"
    for number, day in enumerate(schedule.demo):
        outside = day < schedule.start or (schedule.end is not None and day > schedule.end)
        if outside or slice_of(workload, day) != day:
            yield f"schedule.demo.{number}", f"{day} starts no slice of {schedule.every} days from {schedule.start}"
    if schedule.cron is not None and len(schedule.cron.split()) != 5:
        yield "schedule.cron", f"'{schedule.cron}' is no cron expression of five fields"


def _function_problems(workload: Workload, folder: Path) -> Iterator[Problem]:
    references = [("features.function", workload.features.function)]
    references += [("landing", workload.landing)] if workload.landing else []
    references += [(f"estimator.{n}.name", step.name) for n, step in enumerate(workload.estimator) if ":" in step.name]
    for path, reference in references:
        module, _, attribute = reference.rpartition(":")
        if module:
            if importlib.util.find_spec(module.split(".")[0]) is None:
                yield path, f"'{reference}': no module '{module}' is installed"
            continue
        file = folder / f"{workload.name}.py"
        if not file.is_file():
            yield path, f"'{attribute}': there is no file '{file.name}' beside the YAML to define it"
        elif attribute not in _defined(file):
            yield path, f"'{attribute}': '{file.name}' defines no such function"


def _defined(file: Path) -> set[str]:
    """Return the names of a file's top-level functions and imports, without running it."""
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (SyntaxError, UnicodeDecodeError):
        return set()
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    imported = {alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    return functions | imported
