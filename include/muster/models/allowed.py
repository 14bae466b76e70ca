"""What a stored model may name: classes and functions, one by one or by their package. Imports nothing of Muster."""

from __future__ import annotations

import io
import pickle
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

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
    }
)
"""What is allowed by name: builtin types, and the functions by which numpy's and scikit-learn's objects are rebuilt."""

HELD = frozenset(
    {
        *(("builtins", name) for name in ("bool", "dict", "float", "int", "list", "set", "str", "tuple")),
        *(("collections", name) for name in ("OrderedDict", "defaultdict")),
        ("numpy", "ndarray"),
        ("scipy._lib.array_api_compat.numpy._aliases", "asarray"),
        *(("sklearn.cluster._kmeans", f"_kmeans_single_{name}") for name in ("elkan", "lloyd")),
        *(("sklearn.feature_selection._univariate_selection", name) for name in ("chi2", "f_classif", "f_regression")),
    }
)
"""Types and functions that a model may also keep, to call them later: beside these only ufuncs and numpy's scalars."""

NO_MODELS = frozenset({"tests", "testing", "_testing", "conftest", "datasets", "externals", "f2py", "io"})
"""Parts of a module's name behind which no model is: tests, samples, readers of files. Some run code or write files."""

OF_SCIPY = ("scipy.sparse._", "scipy.interpolate._")
"""All of scipy that models hold. Its distributions (`scipy.stats`) execute a text of their state when loaded."""

OF_SKLEARN = tuple(
    f"sklearn.{part}"
    for part in (
        *("_loss", "calibration", "cluster._birch", "cluster._bisect_k_means", "ensemble._hist_gradient_boosting"),
        *("gaussian_process.kernels", "linear_model._sgd_fast", "metrics._dist_metrics", "model_selection._split"),
        *("neighbors._ball_tree", "neighbors._kd_tree", "neural_network._stochastic_optimizers", "tree._tree"),
        *("utils._bunch", "utils._metadata_requests"),
    )
)
"""Where scikit-learn has classes that are no estimators, and that its fitted estimators are made of."""

SCORERS = "sklearn.metrics._scorer"
"""Whose objects call any estimator's `score`, even while a pickle is read: `Unused` takes their place."""

NARROWED = {
    "lightgbm": {"Booster", "LGBMClassifier", "LGBMModel", "LGBMRegressor"},
    "xgboost": {
        "Booster",
        "XGBClassifier",
        "XGBModel",
        "XGBRanker",
        "XGBRegressor",
        "XGBRFClassifier",
        "XGBRFRegressor",
    },
}
"""All that the models of these packages are made of: other classes of theirs start servers, or read and write files."""


class Forbidden(pickle.UnpicklingError):
    """Raised by a name or an attribute that is not allowed; says which, and why not."""

    def __init__(self, what: str, declaration: str = "") -> None:
        self.declaration = declaration
        """What would allow it under `pack: allowed_imports:`; empty where nothing does."""
        super().__init__(what)


class CannotImport(pickle.UnpicklingError):
    """Raised by a name that is allowed, and that is not there to be imported; says why."""

    def __init__(self, module: str, name: str, error: BaseException) -> None:
        self.declaration = f"{module}:{name}"
        """How `pack: allowed_imports:` names it."""
        super().__init__(f"names '{module}.{name}', which cannot be imported: {type(error).__name__}: {error}")


UNPICKLING = threading.RLock()
"""Held while a pickle is read: of two at once, one could take what the other has changed for what was there."""


class Unused:
    """Stands for a scorer in a fitted search, which keeps one and does not call it to predict."""


class Names:
    """What models with the same declaration may name. Each name is looked up once: a process loads thousands."""

    def __init__(self, allowed_imports: frozenset[str]) -> None:
        self._imports = allowed_imports
        self._packages = {*ALWAYS, *(name for name in allowed_imports if ":" not in name)} - sys.stdlib_module_names
        self._trusted = self._packages - {*ALWAYS, *NARROWED}
        self._known: dict[tuple[str, str], Any] = {}
        self._held: dict[int, Any] = {}
        self._as_defined: dict[type, dict[str, Any]] = {}
        self.classes: set[type] = set()
        """What models were made of."""
        known, look_up = self._known, self._look_up

        class Restricted(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                named = known.get((module, name))
                return look_up(module, name, super().find_class) if named is None else named

        self._unpickler = Restricted

    def unpickle(self, pickled: bytes) -> Any:
        """Return what a pickle gives, made of allowed classes, none of which it has changed.

        Raises:
            Forbidden: at the first name that is not allowed, before anything is made of it; or at a class of which the
                pickle has set attributes: those are everybody's, other models' too. It is put right again.
            CannotImport: at one that is allowed, and not there.
        """
        with UNPICKLING:
            self._as_defined = {known: _attributes(known) for known in self._as_defined}
            try:
                return self._unpickler(io.BytesIO(pickled)).load()
            finally:
                self._check_unchanged()

    def _look_up(self, module: str, name: str, find: Callable[[str, str], Any]) -> Any:
        try:
            named = _allowed(module, name, self._packages, self._imports, find)
        except Forbidden:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever its module raises, or if it ends the process
            raise CannotImport(module, name, error) from error
        if isinstance(named, type):
            self.classes.add(named)
            if not hasattr(named, "__setstate__"):  # else a pickle cannot set what is the class's own
                self._as_defined[named] = _attributes(named)
        if (module, name) in HELD or f"{module}:{name}" in self._imports:
            self._held[id(named)] = named
        self._known[module, name] = named
        return named

    def may_be_held(self, held: Any) -> bool:
        """Tell whether a model may keep a function or a class to call it later."""
        if id(held) in self._held or isinstance(held, np.ufunc):
            return True
        if isinstance(held, type) and issubclass(held, np.generic):
            return True
        return str(getattr(held, "__module__", "")).split(".")[0] in self._trusted

    def _check_unchanged(self) -> None:
        touched = []
        for changed, defined in self._as_defined.items():
            now = _attributes(changed)
            if len(now) == len(defined) and all(now.get(name) is value for name, value in defined.items()):
                continue
            for name in now.keys() - defined.keys():
                delattr(changed, name)
            for name, value in defined.items():
                if now.get(name) is not value:
                    setattr(changed, name, value)
            touched.append(f"'{changed.__module__}.{changed.__qualname__}'")
        if touched:
            raise Forbidden(f"changes the class {touched[0]}")


def _attributes(of: type) -> dict[str, Any]:
    """Return a class's own attributes, but the one that pickling sets in passing."""
    return {name: value for name, value in vars(of).items() if name != "__slotnames__"}


allowed_names = cache(Names)


def _allowed(
    module: str, name: str, packages: set[str], allowed_imports: frozenset[str], find: Callable[[str, str], Any]
) -> Any:
    """Return what `module` and `name` stand for, imported only where it may be allowed."""
    if (module, name) in NAMED | HELD:
        return find(module, name)
    if module == SCORERS:
        return Unused

    def forbidden(why: str, declaration: str = "") -> Forbidden:
        return Forbidden(f"names '{module}.{name}', {why}", declaration)

    package, *parts = module.split(".")
    if package in sys.stdlib_module_names:
        raise forbidden("which is of Python's own library")
    single = f"{module}:{name}" in allowed_imports
    if package not in packages and not single:
        raise forbidden("which is of none of the packages that models may name", package)
    if NO_MODELS.intersection(parts) and package in ALWAYS:
        raise forbidden("which is no part of a model")
    named = find(module, name)
    defined_in = getattr(named, "__module__", None) or package  # a ufunc has none
    if defined_in.split(".")[0] != package or "." in name:
        raise forbidden(f"which the package '{package}' does not define itself")
    if not (single or _is_model_part(package, module, named)):
        raise forbidden("which is no class that a model is made of", f"{module}:{name}")
    return named


def _is_model_part(package: str, module: str, named: Any) -> bool:
    if isinstance(named, np.ufunc):
        return True
    if not isinstance(named, type):
        return False
    if package == "numpy":  # not every class: a memmap writes files
        return issubclass(named, (np.generic, np.dtype, np.random.BitGenerator, np.random.SeedSequence))
    if package == "sklearn":
        return module.startswith(OF_SKLEARN) or _is_estimator(named)
    if package in NARROWED:
        return named.__name__ in NARROWED[package]
    return package != "scipy" or module.startswith(OF_SCIPY)


def _is_estimator(named: type) -> bool:
    return any((base.__module__, base.__name__) == ("sklearn.base", "BaseEstimator") for base in named.__mro__)
