"""Pydantic's errors about a workload, in the terms of someone who writes YAML."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from muster.workload.spec import Workload

Problem = tuple[str, str]
"""The dotted path within the file, and what is wrong there."""

WORDING = {
    "missing": "is missing, and has no default",
    "int_": "{value} is no whole number",
    "float_": "{value} is no number",
    "string_type": "{value} is no text; put it in quotes if it is meant as text",
    "string_pattern": "{value} is no name: letters, digits and '_', not beginning with a digit",
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
    "value_error": "{error}",
}
"""The beginning of pydantic's error type -> text, filled from the error; the first that fits is taken."""


def shape_problems(error: ValidationError) -> Iterator[Problem]:
    """Return each wrong, missing or unknown key once: (dotted path, what is wrong and what to write)."""
    items = error.errors()
    for item in items:
        below = any(len(other["loc"]) > len(item["loc"]) and _begins(other["loc"], item["loc"]) for other in items)
        if item["type"] == "too_short" and below:
            continue  # pydantic counts only the items that hold
        yield ".".join(map(str, _path(item["loc"]))) or "(file)", _text(item)


def _text(item: ErrorDetails) -> str:
    if item["type"] == "extra_forbidden":
        return _unknown_key(_path(item["loc"]))
    value = item["input"]
    if value is None and item["type"] != "missing":
        return "is empty; write a value, or leave the key out"
    shown = f"'{value}'" if isinstance(value, str) else str(value)
    wording = next((text for kind, text in WORDING.items() if item["type"].startswith(kind)), None)
    if wording is None:
        return f"{_short(shown)}: {item['msg']}"
    return wording.format(value=_short(shown), **item.get("ctx", {}))


def _unknown_key(path: Sequence[str | int]) -> str:
    known = _keys(path[:-1])
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(known)}"
    return f"is no key of this section; {hint}"


def _keys(path: Sequence[str | int]) -> list[str]:
    """Return the keys of the section that `path` leads to."""
    section: type[BaseModel] = Workload
    for part in path:
        if part in section.model_fields:
            section = next(iter(sections(section.model_fields[str(part)].annotation)), section)
    return list(section.model_fields)


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


def _begins(loc: Sequence[object], start: Sequence[object]) -> bool:
    return tuple(loc[: len(start)]) == tuple(start)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
