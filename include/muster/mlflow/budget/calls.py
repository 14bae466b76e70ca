"""The one table of MLflow's calls: which class each is of, and whether sending it twice does harm."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from muster.settings.limits import CallClass


@dataclass(frozen=True)
class Call:
    """What the budget must know of a request."""

    call_class: CallClass
    repeatable: bool
    """Sent twice it has the effect of sending it once; else its effect must be looked for after a lost response."""


class _Rule(NamedTuple):
    methods: str
    path: str
    call_class: CallClass
    repeatable: bool


_RULES = (
    # Artifacts come first: a file's own name says nothing.
    _Rule("GET PUT DELETE", r"/mlflow-artifacts/", "rest", True),
    _Rule("POST", r"/mlflow-artifacts/mpu/(complete|abort)/", "rest", True),
    _Rule("GET POST", r"/([a-z-]+/)?(search|search-[a-z-]+|get-latest-versions)$", "search", True),
    _Rule("POST", r"/runs/log-batch$", "log_batch", True),
    # Versions have numbers: each call creates another one. Registered models have names: the second is refused.
    _Rule("POST", r"/model-versions/create$", "registry", False),
    _Rule("POST", r"/(registered-models/create|registered-models/alias|(registered-models|model-versions)/set-tag)$",
          "registry", True),
    _Rule("GET PUT PATCH DELETE", r"/(registered-models|model-versions)(/|$)", "registry", True),
    _Rule("POST", r"/(registered-models|model-versions)(/|$)", "registry", False),
    # Runs and logged models get an identity of their own with each call; experiments have names.
    _Rule("POST", r"/(runs|logged-models)(/create)?$", "rest", False),
    _Rule("POST", r"/runs/(update|delete|restore|set-tag|delete-tag|log-parameter|log-metric|log-inputs|outputs)$",
          "rest", True),
    _Rule("POST", r"/experiments/(create|update|delete|restore|set-experiment-tag)$", "rest", True),
    _Rule("POST", r"/logged-models/[^/]+/params$", "rest", True),
    _Rule("GET HEAD PUT PATCH DELETE", r"", "rest", True),
)  # fmt: skip
_UNKNOWN = Call("rest", repeatable=False)


def call_of(method: str, path: str) -> Call:
    """Return what is known of a request; an unknown POST counts as one that creates something."""
    for rule in _RULES:
        if method.upper() in rule.methods.split() and re.search(rule.path, path):
            return Call(rule.call_class, rule.repeatable)
    return _UNKNOWN
