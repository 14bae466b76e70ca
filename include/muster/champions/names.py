"""The name of a group's registered model: safe wherever MLflow stores names, and never two groups' at once."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from muster.errors import MusterError, bounded
from muster.settings import settings

READABLE = 60
"""Characters of a group that its model's name shows; with the longest workload and schema, MLflow's limit is 256."""

_PAIR = re.compile(r"([A-Z]{3})/([A-Z]{3})")
_PLAIN = re.compile(rf"[A-Z0-9]{{1,{READABLE}}}")


class NamesMeet(MusterError):
    """Raised when two groups would share a registered model."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(
            f"several groups have one model's name: {bounded(names)}; rename the workload, its names change"
        )


def model_name(workload: str, group: str) -> str:
    """Return the registered model's name: `fx_spread_EURUSD`, below `MUSTER_MODEL_SCHEMA` where that is set.

    Only what cannot meet another is left as it is: capitals and digits, and a currency pair without its stroke. Any
    other text keeps its ASCII letters and digits and gets 12 hex digits of its own sha256: `eur-usd` and `EURUSD`
    (which the pair `EUR/USD` would meet) too. Registries that ignore case (Unity Catalog) tell all of them apart.
    """
    flat = f"{workload}_{_readable(workload, group)}"
    schema = settings().model_schema
    return f"{schema}.{flat}" if schema else flat


def model_names(workload: str, groups: Iterable[str]) -> dict[str, str]:
    """Return the name of each group's model.

    Raises:
        NamesMeet: when two are the same: 48 bits of a digest met.
    """
    names = {group: model_name(workload, group) for group in groups}
    counted = Counter(map(compared, names.values()))
    if len(counted) < len(names):
        raise NamesMeet(sorted(name for name in names.values() if counted[compared(name)] > 1))
    return names


def compared(name: str) -> str:
    """Return a registered model's name as names are compared: not every registry keeps capitals."""
    return name.lower()


def _readable(workload: str, group: str) -> str:
    if workload == workload.lower():
        if pair := _PAIR.fullmatch(group):
            return pair[1] + pair[2]
        if _PLAIN.fullmatch(group) and not re.fullmatch("[A-Z]{6}", group):
            return group
    digest = hashlib.sha256(f"{workload}\n{group}".encode()).hexdigest()[:12]
    kept = "_".join(re.findall("[A-Za-z0-9]+", group))[:READABLE].strip("_")
    return f"{kept or 'group'}_{digest}"
