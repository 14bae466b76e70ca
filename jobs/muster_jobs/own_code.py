"""Have Spark's workers run a workload's own code as the driver has it, however long they have been warm."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark import cloudpickle

from muster.context import Context
from muster.models.allowed import allowed_names
from muster.workload.code import workload_modules
from muster.workload.functions import PREFIX
from muster.workload.imported_from import import_from
from muster.workload.own_modules import OwnModule


@dataclass(frozen=True)
class WithOwnCode:
    """A function of the driver; in a worker, that function itself, after the modules that it may use are as here.

    The workload's own file travels within it: workers have no such file. Modules travel as their texts and are imported
    from these, since a worker imports by name too: a class that a stored model names, and all within a function.
    """

    function: Callable[..., Any]
    context: Context

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        workload = self.context.workload
        modules = workload_modules(workload, self.context.folder)
        own_file = sys.modules.get(PREFIX + workload.name)
        if own_file is not None:
            cloudpickle.register_pickle_by_value(own_file)
        return in_worker, (modules, cloudpickle.dumps(self.function))


def in_worker(modules: Mapping[str, OwnModule], pickled: bytes) -> Callable[..., Any]:
    """Return the function that was pickled, made of just these modules."""
    if import_from(modules):
        allowed_names.cache_clear()  # it keeps classes of before
    return pickle.loads(pickled)  # type: ignore[no-any-return]  # noqa: S301 - of the job itself
