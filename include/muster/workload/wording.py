"""Pydantic's errors about a workload, in the terms of someone who writes YAML."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from muster.printable import cell
from muster.workload.outcome import NoOutcome
from muster.workload.spec import Workload

Problem = tuple[str, str]
"""The dotted path within the file, and what is wrong there."""

WORDING = {
    "missing": "is missing, and has no default",
    "int_": "{value} is no whole number",
    "finite_number": "{value} is no number that can be compared with; write a finite one",
    "float_": "{value} is no number",
    "string_type": "{value} is no text; put it in quotes if it is meant as text",
    "string_pattern": "{value} is no name: letters, digits and '_', not beginning with a digit",
    "invalid_key": "is no key of this section",
    "tuple_type": "{value} is no list; write it in brackets: [a, b]",
    "dict_type": "{value} is no section; write its keys as 'key: value' lines, or {{key: value}}",
    "model_type": "{value} is no section; write its keys as 'key: value' lines, or {{key: value}}",
    "date": "{value} is no date; write it as 2013-05-06",
    "literal_error": "{value} is none of {expected}",
    "greater_than_equal": "{value} is too small: {ge} at least",
    "greater_than": "{value} is too small: more than {gt}",
    "less_than_equal": "{value} is too large: {le} at most",
    "less_than": "{value} is too large: less than {lt}",
    "too_short": "is empty; {min_length} at least",
    "too_long": "has {actual_length}; {max_length} at most",
    "string_too_short": "is empty; write some text",
    "string_too_long": "{value} is too long: {max_length} characters at most",
    "value_error": "{error}",
}
"""The beginning of pydantic's error type -> text, filled from the error; the first that fits is taken."""


def shape_problems(error: ValidationError) -> Iterator[Problem]:
    """Return each wrong, missing or unknown key once: (dotted path, what is wrong and what to write)."""
    items = error.errors(include_url=False)
    above = {item["loc"][:length] for item in items for length in range(len(item["loc"]))}
    for item in items:
        if item["type"] == "too_short" and item["loc"] in above:
            continue  # pydantic counts only the items that hold
        yield ".".join(map(str, _path(item["loc"]))) or "(file)", _text(item)


def _text(item: ErrorDetails) -> str:
    if item["loc"] == ("outcome",) and (item["type"] == "missing" or item["input"] is None):
        return str(NoOutcome([]))
    if item["type"] == "extra_forbidden":
        return _unknown_key(_path(item["loc"]))
    value = item["input"]
    if value is None and item["type"] != "missing":
        needed = _has_no_default(_path(item["loc"]))
        return "is empty, and has no default; write a value" if needed else "is empty; write a value, or leave it out"
    shown = f"'{cell(value)}'" if isinstance(value, str) else cell(str(value))
    wording = next((text for kind, text in WORDING.items() if item["type"].startswith(kind)), None)
    if wording is None:
        return f"{shown}: {item['msg']}"
    return wording.format(value=shown, **item.get("ctx", {}))


def _unknown_key(path: Sequence[str | int]) -> str:
    known = list(_section(path[:-1]).model_fields)
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(known)}"
    return f"is no key of this section; {hint}"


def _has_no_default(path: Sequence[str | int]) -> bool:
    field = _section(path[:-1]).model_fields.get(str(path[-1]))
    return field is not None and field.is_required() and list(path) != ["name"]  # which is the file's


def _section(path: Sequence[str | int]) -> type[BaseModel]:
    """Return the section that `path` leads to."""
    section: type[BaseModel] = Workload
    for part in path:
        if part in section.model_fields:
            section = next(iter(sections(section.model_fields[str(part)].annotation)), section)
    return section


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return the sections that a field's type is, or is made of."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from sections(part)


def _path(loc: Sequence[str | int]) -> list[str | int]:
    """Return an error's place without pydantic's own marks: `[key]`, and the names of a union's members.

    An algorithm's steps are listed under its name, as most files write them: `algorithms.logistic.2`.
    """
    path = [part for part in loc if not (isinstance(part, str) and part[:1] in "[(")]
    return path[:2] + path[3:] if len(path) > 3 and path[0] == "algorithms" and path[2] == "steps" else path
