"""Load stored models: bytes verified first, only declared classes named. Imports nothing of Muster: it ships too."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from numbers import Number
from typing import Any

import numpy as np
import zstandard

# Relative: a logged model brings these modules as another package.
from .allowed import CannotImport, Forbidden, Names, allowed_names

PLAIN = frozenset({bool, bytearray, bytes, complex, float, int, range, slice, str, type(None), *np.sctypeDict.values()})
"""Types that hold nothing."""

RESPONSES = frozenset({"auto", "decision_function", "predict", "predict_log_proba", "predict_proba"})
METHOD_NAMES = frozenset({"chain_method", "chain_method_", "response_method", "stack_method", "stack_method_"})
"""Attributes that name the method to call of another estimator: one of the responses. `fit` could be called else."""
READS_FILES = frozenset({"file", "filename"})
"""Values of a vectorizer's `input` by which it opens the files that the data name."""


class RefusedModel(Exception):
    """Raised when a stored model is not loaded."""


class CorruptModel(RefusedModel):
    """Raised when stored bytes are not those that the manifest vouches for."""

    def __init__(self, group: str, shard: str, expected: str, actual: str) -> None:
        super().__init__(
            f"the model of group '{group}' in shard '{shard}' has sha256 {actual[:12]}..., "
            f"the manifest says {expected[:12]}...; not loaded: restore the shard or roll back"
        )
        self.group = group


class ForbiddenModel(RefusedModel):
    """Raised when a model names what no model of its pack may name; nothing of it was called."""

    def __init__(self, group: str, shard: str, why: str) -> None:
        super().__init__(
            f"the model of group '{group}' in shard '{shard}' {why}; not loaded: the pack was tampered with, or its "
            "workload has to declare that under 'pack: allowed_imports:' and train again"
        )


class CodeMissing(RefusedModel):
    """Raised when a model is made of a class that cannot be imported where it is loaded."""

    def __init__(self, group: str, shard: str, error: CannotImport) -> None:
        super().__init__(
            f"the model of group '{group}' in shard '{shard}' {error}; not loaded: put the module back where jobs find "
            f"it, declare '{error.declaration}' under 'pack: allowed_imports:' if it is there, or roll back"
        )
        self.declaration = error.declaration


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
        CodeMissing: when what it names cannot be imported.
    """
    check(data, sha256, group, shard)
    return load_of(group, shard, zstandard.ZstdDecompressor().decompress(data), allowed_imports)


def load_of(group: str, shard: str, pickled: bytes, allowed_imports: Iterable[str]) -> Any:
    """Return a group's model, loaded from its checked pickle.

    Raises:
        CodeMissing, ForbiddenModel: as `decode` does.
    """
    try:
        return load(pickled, allowed_imports)
    except Forbidden as error:
        raise ForbiddenModel(group, shard, str(error)) from error
    except CannotImport as error:
        raise CodeMissing(group, shard, error) from error


def load(pickled: bytes, allowed_imports: Iterable[str] = ()) -> Any:
    """Unpickle what names only allowed classes and functions, and holds nothing by which scoring runs anything else.

    `allowed_imports` adds packages, for their classes (`lightgbm`), and single functions
    (`package.module:function`); never anything of Python's own library.

    Raises:
        Forbidden: at the first other name, before anything is made of it; at a class that was changed, which is put
            right again; or at what `_check_all` refuses.
        CannotImport: at a name that is allowed, and not there.
    """
    names = allowed_names(frozenset(allowed_imports))
    model = names.unpickle(pickled)
    _check_all(model, names)
    return model


def _check_all(model: Any, names: Names) -> None:
    """Check all that a loaded model holds: what it would call, or read, when it is asked for scores.

    Raises:
        Forbidden: at a folder of cached results, which are unpickled without any check; at another method's name where
            that of a response belongs; at a function or class that no model may keep.
    """
    seen: dict[int, Any] = {}
    waiting: list[Any] = [[model]]
    while waiting:
        holder = waiting.pop()
        for held in _parts(holder):
            if type(held) in PLAIN or id(held) in seen or (type(held) is np.ndarray and not held.dtype.hasobject):
                continue
            seen[id(held)] = held  # kept, so that no other object gets its id
            if type(held) in names.classes or not callable(held):
                waiting.append(held)
            elif not names.may_be_held(held):
                what = f"{getattr(held, '__module__', None)}.{getattr(held, '__qualname__', type(held).__name__)}"
                raise Forbidden(f"holds '{what}' in a {type(holder).__name__}, which no model may keep to call it")


def _parts(holder: Any) -> Iterable[Any]:
    """Return what an object holds: attributes, items, and what classes written in C keep."""
    kind = type(holder)
    if kind is list or kind is tuple:
        return holder  # type: ignore[no-any-return]
    if kind is dict:
        return (*holder, *holder.values())
    attributes = getattr(holder, "__dict__", None) or {}
    _check_attributes(kind.__name__, attributes)
    if isinstance(holder, np.ndarray):
        objects = holder.view(np.ndarray).ravel().tolist() if holder.dtype.hasobject else []
        return (*objects, *attributes.values())
    return (
        *attributes.values(),
        *(held for held in gc.get_referents(holder) if held is not kind and held is not attributes),
    )


def _check_attributes(owner: str, attributes: Mapping[str, Any]) -> None:
    memory = attributes.get("memory")
    if not (memory is None or isinstance(memory, Number)):
        raise Forbidden(f"has a {owner} with 'memory' set: what lies there is loaded without any check")
    if isinstance(attributes.get("input"), str) and attributes["input"] in READS_FILES:
        raise Forbidden(f"has a {owner} with input '{attributes['input']}': it reads the files that the data name")
    for name in METHOD_NAMES & attributes.keys():
        for method in _texts(attributes[name]):
            if method not in RESPONSES:
                raise Forbidden(
                    f"has a {owner} with {name} '{method}', which is none of {', '.join(sorted(RESPONSES))}"
                )


def _texts(value: Any) -> Iterator[str]:
    """Yield a text, or those of a list."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
