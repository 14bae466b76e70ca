"""A YAML file as plain values, within a bounded size, depth and time: whatever it holds is its own problem."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

MAX_BYTES = 256 * 1024
MAX_SIZE = 10_000
"""Keys and values of a file, aliases and merges written out; a text counts once more for every 100 characters."""
MAX_DEPTH = 20
MAX_DIGITS = 100

_NEITHER_TEXT_NOR_SPACE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""What `"\\0"` and its like stand for: databases refuse it, and with it all that is written in the same transaction."""


_BOOL, _TEXT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"


class NotReadable(Exception):
    """Raised when a file cannot be read as YAML; the message does not name the file."""


def read_bounded(path: Path) -> bytes:
    """Return what a file of a workload holds.

    Raises:
        NotReadable: when it is not there, no file, or too large.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise NotReadable("is no file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotReadable(str(error)) from error
    if len(content) > MAX_BYTES:
        raise NotReadable(f"is larger than {MAX_BYTES // 1024} KiB")
    return content


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds; a value that its own type refuses (`2013-13-45`) stays a text.

    Raises:
        NotReadable: with the reason and, where there is one, its line.
    """
    try:
        return yaml.load(read_bounded(path).decode("utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        why = filter(None, (error.context, error.problem))
        raise NotReadable(f"line {mark.line + 1}, column {mark.column + 1}: {', '.join(why)}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise NotReadable(" ".join(str(error).split())) from error


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what grows beyond bounds, a key written twice, and what no database takes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._size = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        begins, before = event.start_mark, self._size
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ComposerError(None, None, f"is nested deeper than {MAX_DEPTH} levels", begins)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._size += 1 + (len(node.value) // 100 if isinstance(node, yaml.ScalarNode) else 0)
            self._sizes[node] = self._size - before
        elif node in self._sizes:
            self._size += self._sizes[node]
        else:
            raise ComposerError(None, None, f"'*{event.anchor}' is within what it stands for", begins)
        if self._size > MAX_SIZE:
            problem = f"no more than {MAX_SIZE} keys and values fit, aliases written out"
            raise ComposerError(None, None, problem, begins)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConstructorError(None, None, "a key is a single word", key_node.start_mark)
            key = key_node.value
            if key in seen:
                raise ConstructorError(None, None, f"the key '{key}' is here twice", key_node.start_mark)
            seen.add(key)
            if key_node.tag == _BOOL:  # `on: [degraded]`, a column `no`: a key is a name
                key_node.tag = _TEXT
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if isinstance(node, yaml.ScalarNode) and (character := _NEITHER_TEXT_NOR_SPACE.search(node.value)):
            problem = f"the character {character[0]!a} is neither text nor space; leave it out"
            raise ConstructorError(None, None, problem, node.start_mark)
        return super().construct_scalar(node)


def _or_text(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Leave a value that its type refuses a text: then its section's check names its path and what to write."""

    def construct_or_text(loader: Any, node: Any) -> Any:
        text = loader.construct_scalar(node)
        try:
            return construct(loader, node) if len(text) <= MAX_DIGITS else text
        except (ArithmeticError, AttributeError, LookupError, ValueError):
            return text

    return construct_or_text


for _type in ("bool", "int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_type}", _or_text(getattr(_Loader, f"construct_yaml_{_type}")))
for _type in ("binary", "omap", "pairs", "set"):  # a set has no order, and nothing else of a workload is one of these
    _Loader.add_constructor(f"tag:yaml.org,2002:{_type}", _Loader.construct_undefined)  # type: ignore[type-var]
