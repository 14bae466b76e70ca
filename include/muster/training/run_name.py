"""A run's name: the same whenever the same models would come of it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Mapping
from importlib.metadata import version

from muster.context import PartitionContext
from muster.models.bundle import requirements
from muster.models.manifest import allowed_imports
from muster.models.scores import BINARY
from muster.workload.code import code_digest, step_code

LIBRARIES = ("numpy", "scikit-learn", "scipy")
"""Another version of these may give another model of the same data."""


def run_name(
    context: PartitionContext,
    content: Mapping[str, str],
    stale: Collection[str] = (),
    groups: Collection[str] | None = None,
) -> str:
    """Return `<partition>-<8 hex digits>` of all that decides the models.

    That is: the algorithms with their own code, functions and classes, the feature columns, the windows, the seed, the
    libraries' versions, `content`, each day's digest of the rows read, and the groups that get no model as they are
    `stale`. A description, an owner or a gate's threshold changes no model, so no run; nor does its metric, unless a
    search chooses by it. A quantile does: what the labels say of it is written down with the models. A retry is about
    some `groups` alone, and its run another for others.
    """
    workload, windows = context.workload, context.windows
    searched = any(algorithm.search for algorithm in workload.algorithms.values())
    decides = {
        "workload": workload.name,
        "algorithms": {name: algorithm.model_dump(mode="json") for name, algorithm in workload.algorithms.items()},
        "metric": workload.gate.metric if searched else None,
        **({} if workload.gate.quantile is None else {"quantile": workload.gate.quantile}),
        **({} if workload.weight is None else {"weight": workload.weight}),
        **({} if workload.large_groups is None else {"large_groups": workload.large_groups.model_dump()}),
        "code": {
            step.name: code_digest(workload, context.folder, code)
            for step in workload.steps
            if (code := step_code(step)) is not None
        },
        "columns": workload.features.columns,
        "days": [windows.train.start, windows.train.stop, windows.partition],
        "min_rows": workload.windows.min_rows,
        "seed": workload.seed,
        **({} if workload.outcome.scale == BINARY else {"outcome": workload.outcome.scale}),  # added later: names stay
        "versions": [sys.version_info[:2], *((name, version(name)) for name in LIBRARIES), *_own_libraries(context)],
        "features": content,
        **({"stale": sorted(stale)} if stale else {}),
        **({} if groups is None else {"groups": sorted(groups)}),
    }
    canonical = json.dumps(decides, sort_keys=True, separators=(",", ":"), default=str)
    return f"{windows.key}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"


def _own_libraries(context: PartitionContext) -> list[str]:
    """Return the distributions of the declared steps, beside scikit-learn's, at their versions."""
    return requirements(allowed_imports(context.workload), needed=())
