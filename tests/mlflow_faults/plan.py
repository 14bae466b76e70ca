"""Which request meets which fault: drawn from a seed, or written down one by one."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

PASS = "pass"
KINDS = {
    "429": 6,  # a burst of them, with and without Retry-After
    "500 before": 4,  # nothing was done
    "500 after": 4,  # all was done
    "lost before": 2,  # the connection is closed, nothing was done
    "lost after": 4,  # the connection is closed, all was done
    "timeout": 0.5,  # done, and answered when the client has long gone
    "late": 0.5,  # done when the client has long gone
    "slow": 2,  # an upload that trickles
    "cut": 4,  # an upload whose connection breaks half-way; for others: before anything is done
}
"""Fault -> its weight. Time-outs are rare because each takes a second."""


@dataclass(frozen=True)
class Plan:
    """What a proxy does to the requests that it passes on."""

    seed: int = 0
    share: float = 0.0
    """The share of requests that meet a fault."""
    scripted: dict[str, list[str]] = field(default_factory=dict)
    """Pattern of `METHOD path` -> the fates of the first requests that fit; those after meet `share`."""
    limits: dict[str, float] = field(default_factory=dict)
    """Class of call -> how many the server lets through in a second; 429 beyond."""
    held: float = 1.5
    """Seconds for which a request is held that the client shall give up."""
    pending: float = 0.0
    """Seconds for which a new version is shown as not ready."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Fates:
    """Draw each request's fate: the n-th of its kind meets the same in every run with the same seed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._seen: Counter[str] = Counter()
        self._scripted = {pattern: list(fates) for pattern, fates in plan.scripted.items()}
        self._burst: Counter[str] = Counter()

    def draw(self, method: str, path: str) -> str:
        for pattern, fates in self._scripted.items():
            if fates and re.search(pattern, f"{method} {path}"):
                return fates.pop(0)
        kind = f"{method} {re.sub(r'm-[0-9a-f]{32}|[0-9a-f]{32}|[0-9]+', '*', path)}"
        self._seen[kind] += 1
        drawn = random.Random(f"{self.plan.seed} {kind} {self._seen[kind]}")
        if self._burst[kind] and drawn.random() < self.plan.share:
            self._burst[kind] -= 1
            return "429"
        if drawn.random() >= self.plan.share:
            return PASS
        fate = drawn.choices(list(KINDS), list(KINDS.values()))[0]
        if fate == "429":
            self._burst[kind] = drawn.randint(0, 2)
        return fate
