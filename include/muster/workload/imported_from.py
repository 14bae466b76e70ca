"""Import one's own modules from a text that was sent, in place of what is on this machine or was imported before."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import decode_source, spec_from_loader
from types import ModuleType
from typing import Any, Protocol, TypeVar

from muster.workload.own_modules import OwnModule


class Cache(Protocol):
    """What `functools.cache` and `lru_cache` make of a function."""

    def cache_clear(self) -> None:
        """Forget all that is kept."""


C = TypeVar("C", bound=Cache)

_empty: list[Callable[[], Any]] = [linecache.clearcache]  # lines of files that only their module's loader has


def emptied_with_modules(cache: C) -> C:
    """Have a cache emptied whenever modules are replaced: a process keeps nothing that was made of the old ones.

    For every cache of a process that may hold objects of one's own code, be it in what is in it.
    """
    _empty.append(cache.cache_clear)
    return cache


class _Sent(MetaPathFinder, ExecutionLoader):
    """Finds the modules that were sent before Python looks for any on its path."""

    def __init__(self, modules: Mapping[str, OwnModule]) -> None:
        self.modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname in self.modules else None

    def get_filename(self, fullname: str) -> str:
        return self.modules[fullname].file

    def get_source(self, fullname: str) -> str:
        return decode_source(self.modules[fullname].text)

    def is_package(self, fullname: str) -> bool:
        return self.get_filename(fullname).endswith("__init__.py")


def import_from(modules: Mapping[str, OwnModule]) -> bool:
    """Have this process import `modules` from their texts from now on; return whether it had others until now.

    What was imported of them, or sent before, is forgotten, and what caches hold of it (`emptied_with_modules`): the
    next `import` runs the text. So a process that has lived long does as a new one would, also without any module.
    """
    before = [finder for finder in sys.meta_path if isinstance(finder, _Sent)]
    if [finder.modules for finder in before] == [modules] or not (before or modules):
        return False
    sys.meta_path[:] = [_Sent(modules), *(finder for finder in sys.meta_path if finder not in before)]
    for name in {*modules, *(name for finder in before for name in finder.modules)}:
        _forget(name)
    for empty in _empty:
        empty()
    return True


def _forget(name: str) -> None:
    module, (package, _, attribute) = sys.modules.pop(name, None), name.rpartition(".")
    if module is not None and getattr(sys.modules.get(package), attribute, None) is module:
        delattr(sys.modules[package], attribute)  # `from package import module` would find it there
