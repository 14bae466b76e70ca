"""Import one's own modules from a text that was sent, in place of what is on this machine or was imported before."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import decode_source, spec_from_loader
from types import ModuleType

from muster.workload.own_modules import OwnModule


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

    What was imported of them, or sent before, is forgotten: the next `import` runs the text. Other objects that were
    made of it stay as they are.
    """
    before = [finder for finder in sys.meta_path if isinstance(finder, _Sent)]
    if [finder.modules for finder in before] == [modules] or not modules:
        return False
    sys.meta_path[:] = [_Sent(modules), *(finder for finder in sys.meta_path if finder not in before)]
    for name in {*modules, *(name for finder in before for name in finder.modules)}:
        _forget(name)
    return True


def _forget(name: str) -> None:
    module, (package, _, attribute) = sys.modules.pop(name, None), name.rpartition(".")
    if module is not None and getattr(sys.modules.get(package), attribute, None) is module:
        delattr(sys.modules[package], attribute)  # `from package import module` would find it there
