"""Read a workload's YAML: every problem at once, with its file and dotted path; runs none of the workload's code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from inspect import isclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, cast, get_args

from pydantic import AliasChoices, AliasPath, TypeAdapter, ValidationError

from muster.errors import MusterError, UnknownName, WorkloadError
from muster.printable import cell
from muster.workload import checks
from muster.workload.bounded_yaml import NotReadable, read_yaml
from muster.workload.file_checks import FILE_CHECKS
from muster.workload.outcome import completed
from muster.workload.section import Section
from muster.workload.spec import Workload
from muster.workload.wording import Problem, shape_problems

S = TypeVar("S", bound=Section)


SUFFIX = ".yaml"
MAX_PROBLEMS = 50
DATES = (
    *(("schedule", key) for key in ("start", "every", "cron", "end")),
    *(("windows", "train"), ("windows", "evaluate"), ("features", "lookback")),
)
"""What the dates of a partition are made of."""


class NoWorkloadFolder(MusterError):
    """Raised when the folder of the workloads is not there, rather than to go on as if none were declared."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"there is no folder of workloads '{folder.absolute()}'; set MUSTER_WORKLOADS to the absolute path of the "
            "folder with the workloads' YAML files (unset, it is 'include/workloads' where the process was started)"
        )


def workload_files(folder: Path) -> list[Path]:
    """Return the YAML files of `folder`, sorted by name.

    Raises:
        NoWorkloadFolder: when there is no such folder.
    """
    return [file for file in declared_files(folder) if file.suffix == SUFFIX]


def declared_files(folder: Path) -> list[Path]:
    """Return the files of `folder` that are meant as workloads, sorted by name: those of another suffix than `.yaml`
    too (`parcels.yml`), which `load_workload` refuses.

    Raises:
        NoWorkloadFolder: when there is no such folder.
    """
    if not folder.is_dir():
        raise NoWorkloadFolder(folder)
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in (SUFFIX, ".yml"))


def find_workload(name: str, folder: Path) -> Workload:
    """Return the workload called `name`.

    Raises:
        NoWorkloadFolder: when there is no such folder.
        UnknownName: when no file of `folder` bears it.
        WorkloadError: when its file does not hold.
    """
    named = [file for file in declared_files(folder) if file.stem == name]
    if not named:
        raise UnknownName("workload", name, (file.stem for file in workload_files(folder)))
    return load_workload(min(named, key=lambda file: file.suffix != SUFFIX))


def load_workload(path: Path) -> Workload:
    """Return the workload that `path` declares; its name is the file's.

    Raises:
        WorkloadError: with every problem of the file, whatever it is: no file may keep another from being read.
    """
    try:
        workload, problems = _checked(path)
        problems = problems or list(_twins(path))
    except NotReadable as error:
        problems = [("(file)", str(error))]
    except Exception as error:
        why = cell(f"cannot be checked: {type(error).__name__}: {error}", 500)
        raise WorkloadError(str(path), [("(file)", why)]) from error
    if problems:
        raise WorkloadError(str(path), list(_shown(problems)))
    return workload


def load_sound_part(path: Path) -> tuple[Workload, str | None]:
    """Return a workload, and None; or what is sound of one that is refused, and its first problem.

    For who goes on looking whether its partitions come: their dates are there, any other section may be missing.

    Raises:
        WorkloadError: when not even its dates can be read.
    """
    try:
        return load_workload(path), None
    except WorkloadError as refused:
        with suppress(Exception):
            workload = _checked(path)[0]
            if workload.name and all(hasattr(getattr(workload, section), key) for section, key in DATES):
                return workload, ": ".join(refused.problems[0])
        raise


def _shown(problems: list[Problem]) -> Iterator[Problem]:
    """Yield the problems as a log and Airflow's page can bear them, however long the values and however many."""
    for where, problem in problems[:MAX_PROBLEMS]:
        yield cell(where, 200), cell(problem, 500)
    if len(problems) > MAX_PROBLEMS:
        yield "(file)", f"has {len(problems) - MAX_PROBLEMS} more problems"


def _checked(path: Path) -> tuple[Workload, list[Problem]]:
    """Return what is sound of a workload, and every problem that its file has by itself."""
    if path.suffix != SUFFIX:
        raise NotReadable(f"is not read by this name; rename it to '{path.stem}{SUFFIX}'")
    declared = read_yaml(path)
    if not isinstance(declared, dict):
        raise NotReadable(f"holds {type(declared).__name__}, not the sections of a workload")
    try:
        sections = completed({"name": path.stem, **declared})
    except ValueError as error:
        raise NotReadable(str(error)) from error
    try:
        workload = Workload.model_validate(sections)
        problems = list(_contradictions(workload, path))
    except ValidationError as error:
        workload = _sound_part(Workload, sections)
        problems = [*shape_problems(error), *_contradictions(workload, path, AttributeError)]
    if "label" in declared:  # what it was written under
        problems = [(re.sub(r"^outcome(\.binary)?", "label", where), problem) for where, problem in problems]
    return workload, problems


def _contradictions(workload: Workload, path: Path, *excused: type[Exception]) -> Iterator[Problem]:
    """Yield where sections contradict each other or the Python file; an `excused` error ends a check silently."""
    for check in checks.SECTION_CHECKS:
        with suppress(*excused):
            yield from check(workload)
    for check_file in FILE_CHECKS:
        with suppress(*excused):
            yield from check_file(workload, path.with_suffix(".py"))
    if getattr(workload, "name", path.stem) != path.stem:
        yield "name", f"'{workload.name}' is not the file's name '{path.stem}'; leave it out"


def _twins(path: Path) -> Iterator[Problem]:
    """Find the file that is read instead of this sound one: names that differ by capitals only are one in some stores.

    The sound file whose name sorts last is read, so lower case before capitals, and one that is not keeps none out.
    """
    twins = (file for file in path.parent.iterdir() if file.suffix == SUFFIX and file.stem.lower() == path.stem.lower())
    for file in sorted(twins, reverse=True):
        if file.name <= path.name:
            return
        if _is_sound(file):
            yield "(file)", f"differs from '{file.name}' by capitals only, and that one is read; rename this one"
            return


def _is_sound(path: Path) -> bool:
    with suppress(Exception):
        return not _checked(path)[1]
    return False


@cache
def _adapter(section: type[Section], name: str) -> TypeAdapter[Any]:
    return TypeAdapter(section.model_fields[name].rebuild_annotation())


def _required(annotation: Any) -> Any:
    """Return `Section` of `Section | None`."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 and NoneType in get_args(annotation) else annotation


def _declared(name: str, alias: object, declared: Mapping[str, Any]) -> Any:
    """Return what a file has for a field, under whichever name, or within another section; None without any."""
    if isinstance(alias, AliasPath):
        section, key = alias.path
        inner = declared.get(str(section))
        return inner.get(key) if isinstance(inner, Mapping) else None
    names = [name, *alias.choices] if isinstance(alias, AliasChoices) else [name]
    return next((declared[str(one)] for one in names if one in declared), None)


def _sound_part(section: type[S], declared: dict[str, Any]) -> S:
    """Return the section with what is sound in it, so that the rest of a file is checked too.

    What is not sound is left out: to read it is an AttributeError.
    """
    sound: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        value, kind = _declared(name, field.validation_alias, declared), _required(field.annotation)
        try:
            sound[name] = _adapter(section, name).validate_python(value)
        except ValidationError:
            if isclass(kind) and issubclass(kind, Section) and isinstance(value, dict):
                sound[name] = _sound_part(kind, value)
    return cast("S", section.model_construct(**sound))
