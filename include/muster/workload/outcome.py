"""What a workload predicts: one of the kinds of outcome, declared in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from muster.workload.section import Name, Section

KINDS: Mapping[str, str] = {
    "binary": "binary: {column: arr_delay, above: 15}",
    "regression": "regression: {column: arr_delay}",
    "none": "none",
}
"""Each kind of outcome, with the line that declares one."""
METRICS: Mapping[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss", "rmse", "mae"),
    "regression": ("rmse", "mae", "mape", "pinball"),
    "none": ("mass_volume",),
}
"""By kind, the metrics that it may be judged by, its default first."""
BASELINES: Mapping[str, tuple[str, ...]] = {
    "binary": ("prior",),
    "regression": ("prior", "median", "last"),
    "none": ("prior",),
}
"""By kind, the words for a baseline that is no feature."""


class NoOutcome(ValueError):
    """Raised when a file declares no outcome, or several; names the kinds."""

    def __init__(self, given: list[str]) -> None:
        what = f", not {' and '.join(given)}" if given else ""
        super().__init__(f"write one kind of outcome{what}: {'; or '.join(KINDS.values())}")


class Binary(Section):
    """1 where `column` is greater than `above`, or one of `equals`; 0 where not; without a value, no label."""

    column: Name
    above: float | None = None
    equals: tuple[str | int | float | bool, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_rule(self) -> Binary:
        if (self.above is None) == (self.equals is None):
            raise ValueError("write 'above: 15', or 'equals: [cancelled, diverted]': what counts as 1")
        return self


class Regression(Section):
    """The number in `column`; without a value, no label."""

    column: Name
    transform: Literal["log1p"] | None = Field(
        None, description="What models learn instead: `log1p`, the logarithm of one more. Answers are in its own unit."
    )


class Unlabelled(Section):
    """Nothing that is known later: outlier detectors learn what is usual, and are judged without labels."""

    report: Binary | None = Field(
        None, description="Labels of some rows, by which alerts are counted for a report; they decide nothing."
    )


class Outcome(Section):
    """The one kind that is declared."""

    binary: Binary | None = None
    regression: Regression | None = None
    none: Unlabelled | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, declared: Any) -> Any:
        if not isinstance(declared, (Mapping, Outcome)):
            raise NoOutcome([f"'{declared}'"])
        if isinstance(declared, Mapping) and not set(declared) - set(KINDS):
            kinds = sorted(kind for kind, section in declared.items() if section is not None)
            if len(kinds) != 1:
                raise NoOutcome(kinds)
        return declared

    @property
    def kind(self) -> str:
        """The name of the kind."""
        name = next((name for name in KINDS if getattr(self, name) is not None), None)
        if name is None:  # of a file that does not hold
            raise AttributeError("kind")
        return name

    @property
    def declared(self) -> Binary | Regression | Unlabelled:
        """What is declared of it."""
        kind: Binary | Regression | Unlabelled = getattr(self, self.kind)
        return kind

    @property
    def read(self) -> Binary | Regression | None:
        """What is declared of the labels; None where there are none."""
        return self.declared.report if isinstance(self.declared, Unlabelled) else self.declared

    @property
    def column(self) -> str | None:
        """The column that labels are read from; None where there are none."""
        return self.read.column if self.read is not None else None

    @property
    def scale(self) -> str:
        """What the models' answers are: models of another scale cannot be compared with them, nor answer in their
        place."""
        transform = self.regression.transform if self.regression else None
        return f"{self.kind} of {transform}" if transform else self.kind


def completed(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a workload's sections as they are meant.

    `label:`, the former word for a binary outcome, is `outcome:`, `outcome: none` a section without keys, and the gate
    has the metric that is the kind's default.

    Raises:
        ValueError: when there are both.
    """
    sections = dict(declared)
    if sections.get("outcome") == "none":
        sections["outcome"] = {"none": {}}
    if "label" in sections:
        if "outcome" in sections:
            raise ValueError("'label' is the former word for a binary 'outcome': write one of them")
        sections["outcome"] = {"binary": sections.pop("label")}
    outcome, gate = sections.get("outcome"), sections.get("gate", {})
    kind = next((kind for kind in METRICS if isinstance(outcome, Mapping) and kind in outcome), None)
    if kind is not None and isinstance(gate, Mapping):
        sections["gate"] = {"metric": METRICS[kind][0], **gate}
    return sections
