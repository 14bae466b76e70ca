"""Read a workload's YAML: every problem at once, with its file and dotted path; runs none of the workload's code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from inspect import isclass
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import AliasChoices, TypeAdapter, ValidationError

from muster.errors import MusterError, UnknownName, WorkloadError
from muster.workload import checks
from muster.workload.section import Section
from muster.workload.spec import Workload
from muster.workload.wording import Problem, shape_problems

S = TypeVar("S", bound=Section)


class NoWorkloadFolder(MusterError):
    """Raised when the folder of the workloads is not there, rather than to go on as if none were declared."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"there is no folder of workloads '{folder.absolute()}'; set MUSTER_WORKLOADS to the absolute path of the "
            "folder with the workloads' YAML files (unset, it is 'include/workloads' where the process was started)"
        )


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is a single word", key_node.start_mark)
            key = key_node.value
            if key in seen:
                problem = f"the key '{key}' is here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def workload_files(folder: Path) -> list[Path]:
    """Return the YAML files of `folder`, sorted by name.

    Raises:
        NoWorkloadFolder: when there is no such folder.
    """
    if not folder.is_dir():
        raise NoWorkloadFolder(folder)
    return sorted(folder.glob("*.yaml"))


def find_workload(name: str, folder: Path) -> Workload:
    """Return the workload called `name`.

    Raises:
        NoWorkloadFolder: when there is no such folder.
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
        problems = list(_contradictions(workload, path))
    except ValidationError as error:
        rest = _contradictions(_sound_part(Workload, {"name": path.stem, **declared}), path, AttributeError)
        problems = [*shape_problems(error), *rest]
    if problems:
        raise WorkloadError(str(path), problems)
    return workload


def _contradictions(workload: Workload, path: Path, *excused: type[Exception]) -> Iterator[Problem]:
    """Yield where sections contradict each other or the Python file; an `excused` error ends a check silently."""
    for check in checks.SECTION_CHECKS:
        with suppress(*excused):
            yield from check(workload)
    for check_file in checks.FILE_CHECKS:
        with suppress(*excused):
            yield from check_file(workload, path.with_suffix(".py"))
    if getattr(workload, "name", path.stem) != path.stem:
        yield "name", f"'{workload.name}' is not the file's name '{path.stem}'; leave it out"


def _sound_part(section: type[S], declared: dict[str, Any]) -> S:
    """Return the section with what is sound in it, so that the rest of a file is checked too.

    What is not sound is left out: to read it is an AttributeError.
    """
    sound: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        keys = [name, *alias.choices] if isinstance(alias := field.validation_alias, AliasChoices) else [name]
        value, kind = next((declared[str(key)] for key in keys if key in declared), None), field.annotation
        try:
            sound[name] = TypeAdapter(field.rebuild_annotation()).validate_python(value)
        except ValidationError:
            if isclass(kind) and issubclass(kind, Section) and isinstance(value, dict):
                sound[name] = _sound_part(kind, value)
    return cast("S", section.model_construct(**sound))
