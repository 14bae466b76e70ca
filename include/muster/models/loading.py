"""Load stored models: bytes verified first, only declared classes named. Imports nothing of Muster: it ships too."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

ALWAYS = ("numpy", "scipy", "sklearn")
"""Packages whose classes any model may name, with the exceptions below."""

NAMED = frozenset(
    {
        *(("builtins", name) for name in ("bool", "bytearray", "bytes", "complex", "float", "int", "str")),
        *(("builtins", name) for name in ("dict", "frozenset", "list", "object", "range", "set", "slice", "tuple")),
        *(("collections", name) for name in ("OrderedDict", "defaultdict", "deque")),
        ("copyreg", "_reconstructor"),
        *((f"numpy.{core}.multiarray", name) for core in ("_core", "core") for name in ("_reconstruct", "scalar")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("_core", "core")),
        *(("numpy.random._pickle", f"__{made}_ctor") for made in ("bit_generator", "generator", "randomstate")),
        ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
        *(("numpy.ma.core", name) for name in ("MaskedArray", "_mareconstruct")),
        *(("numpy", name) for name in ("dtype", "matrix", "ndarray")),
        ("numpy.ma", "MaskedArray"),
        ("scipy._lib.array_api_compat.numpy._aliases", "asarray"),
        *((f"sklearn.neighbors.{tree}", "newObj") for tree in ("_ball_tree", "_kd_tree")),
        ("sklearn.metrics._dist_metrics", "newObj"),
        *(("sklearn.cluster._kmeans", f"_kmeans_single_{name}") for name in ("elkan", "lloyd")),
        *(("sklearn.feature_selection._univariate_selection", name) for name in ("chi2", "f_classif", "f_regression")),
    }
)
"""What is allowed by name: builtin types, and the functions by which numpy's and scikit-learn's objects are rebuilt."""

NO_MODELS = frozenset({"tests", "testing", "_testing", "conftest", "datasets", "externals", "f2py", "io"})
"""Parts of a module's name behind which no model is: tests, samples, readers of files. Some run code or write files."""

OF_SCIPY = ("scipy.sparse", "scipy.interpolate")
"""All of scipy that models hold. Its distributions (`scipy.stats`) execute a text of their state when loaded."""


class RefusedModel(Exception):
    """Raised when a stored model is not loaded."""


class CorruptModel(RefusedModel):
    """Raised when stored bytes are not those that the manifest vouches for."""

    def __init__(self, group: str, shard: str, expected: str, actual: str) -> None:
        super().__init__(
            f"the model of group '{group}' in shard '{shard}' has sha256 {actual[:12]}..., "
            f"the manifest says {expected[:12]}...; not loaded: restore the shard or roll back"
        )


class ForbiddenModel(RefusedModel):
    """Raised when a model names what no model of its pack may name; nothing of it was called."""

    def __init__(self, group: str, shard: str, why: str) -> None:
        super().__init__(
            f"the model of group '{group}' in shard '{shard}' {why}; not loaded: the pack was tampered with, or its "
            "workload has to declare that under 'pack: allowed_imports:' and train again"
        )


class Forbidden(pickle.UnpicklingError):
    """Raised while unpickling, by a name that is not allowed; says which, and why not."""

    def __init__(self, module: str, name: str, why: str, declaration: str = "") -> None:
        self.declaration = declaration
        """What would allow it under `pack: allowed_imports:`; empty where nothing does."""
        super().__init__(f"names '{module}.{name}', {why}")


def read_bytes(shard: Path, offset: int, length: int) -> bytes:
    """Return `length` bytes of `shard` from `offset`."""
    with shard.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def check(data: bytes, sha256: str, group: str, shard: str) -> None:
    """Check a model's stored bytes against its digest.

    Raises:
        CorruptModel: when the digest differs.
    """
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise CorruptModel(group, shard, sha256, actual)


def decode(data: bytes, sha256: str, group: str, shard: str, allowed_imports: Iterable[str] = ()) -> Any:
    """Return the model stored as `data` (a zstd frame of a pickle) after checking its digest.

    `allowed_imports` is what it may name beside numpy, scipy and scikit-learn: see `load`.

    Raises:
        CorruptModel: when the digest differs; nothing was deserialised then.
        ForbiddenModel: when it names anything else; what it names was not called.
    """
    check(data, sha256, group, shard)
    try:
        return load(zstandard.ZstdDecompressor().decompress(data), allowed_imports)
    except Forbidden as error:
        raise ForbiddenModel(group, shard, str(error)) from error


def load(pickled: bytes, allowed_imports: Iterable[str] = ()) -> Any:
    """Unpickle what names only allowed classes and functions.

    `allowed_imports` adds packages, for their classes (`lightgbm`), and single functions
    (`package.module:function`); never anything of Python's own library.

    Raises:
        Forbidden: at the first other name, before anything is made of it.
    """
    return _unpickler(frozenset(allowed_imports))(io.BytesIO(pickled)).load()


@cache
def _unpickler(allowed_imports: frozenset[str]) -> type[pickle.Unpickler]:
    """Return an unpickler that looks each name up once: a model has a dozen of them, and a process loads thousands."""
    known: dict[tuple[str, str], Any] = {}
    packages = {*ALWAYS, *(name for name in allowed_imports if ":" not in name)} - sys.stdlib_module_names

    class Restricted(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            named = known.get((module, name))
            if named is None:
                named = _allowed(module, name, packages, allowed_imports, super().find_class)
                known[module, name] = named
            return named

    return Restricted


def _allowed(
    module: str, name: str, packages: set[str], allowed_imports: frozenset[str], find: Callable[[str, str], Any]
) -> Any:
    """Return what `module` and `name` stand for, imported only where it may be allowed."""
    if (module, name) in NAMED:
        return find(module, name)
    package, *parts = module.split(".")
    if package in sys.stdlib_module_names:
        raise Forbidden(module, name, "which is of Python's own library")
    single = f"{module}:{name}" in allowed_imports
    if package not in packages and not single:
        raise Forbidden(module, name, "which is of none of the packages that models may name", package)
    if NO_MODELS.intersection(parts) and package in ALWAYS:
        raise Forbidden(module, name, "which is no part of a model")
    named = find(module, name)
    defined_in = getattr(named, "__module__", None) or package  # a ufunc has none
    if defined_in.split(".")[0] != package or "." in name:
        raise Forbidden(module, name, f"which the package '{package}' does not define itself")
    if not (single or _is_model_part(package, module, named)):
        raise Forbidden(module, name, "which is no class that a model is made of", f"{module}:{name}")
    return named


def _is_model_part(package: str, module: str, named: Any) -> bool:
    if isinstance(named, np.ufunc):
        return True
    if not isinstance(named, type):
        return False
    if package == "numpy":  # not every class: a memmap writes files
        return issubclass(named, (np.generic, np.dtype, np.random.BitGenerator, np.random.SeedSequence))
    return package != "scipy" or module.startswith(OF_SCIPY)
