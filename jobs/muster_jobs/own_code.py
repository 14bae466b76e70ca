"""Have Spark's workers run a workload's own code as the driver has it, however long they have been warm."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark import cloudpickle

from muster.context import Context
from muster.models.allowed import allowed_names
from muster.workload.code import workload_modules
from muster.workload.functions import PREFIX
from muster.workload.imported_from import emptied_with_modules, import_from
from muster.workload.own_modules import OwnModule

emptied_with_modules(allowed_names)  # not where it is defined: that file travels with models, without Muster


@dataclass(frozen=True)
class WithOwnCode:
    """A function of the driver; in a worker, that function itself, after the modules that it may use are as here.

    The workload's own file travels within it: workers have no such file. Modules travel as their texts and are imported
    from these, since a worker imports by name too: a class that a stored model names, and all within a function.
    """

    function: Callable[..., Any]
    context: Context
    loads: Collection[str] = ()
    """What models that it opens may name beside those that the workload declares now."""

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        workload = self.context.workload
        modules = workload_modules(workload, self.context.folder, self.loads)
        own_file = sys.modules.get(PREFIX + workload.name)
        if own_file is not None:
            cloudpickle.register_pickle_by_value(own_file)
        return in_worker, (modules, cloudpickle.dumps(self.function))


def in_worker(modules: Mapping[str, OwnModule], pickled: bytes) -> Callable[..., Any]:
    """Return the function that was pickled, made of just these modules."""
    import_from(modules)
    return pickle.loads(pickled)  # type: ignore[no-any-return]  # noqa: S301 - of the job itself
