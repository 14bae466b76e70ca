"""What a workload predicts: one of the kinds of outcome, declared in a line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from muster.workload.column import parse_column
from muster.workload.section import Name, Section

KINDS: Mapping[str, str] = {
    "binary": "binary: {column: arr_delay, above: 15}",
    "regression": "regression: {column: arr_delay}",
    "none": "none",
    "classes": "classes: {column: component, values: [none, pump, valve]}",
}
"""Each kind of outcome, with the line that declares one."""
METRICS: Mapping[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss", "rmse", "mae"),
    "regression": ("rmse", "mae", "mape", "pinball"),
    "none": ("mass_volume",),
    "classes": ("log_loss", "roc_auc"),
}
"""By kind, the metrics that it may be judged by, its default first."""
BASELINES: Mapping[str, tuple[str, ...]] = {
    "binary": ("prior",),
    "regression": ("prior", "median", "last"),
    "none": ("prior",),
    "classes": ("prior",),
}
"""By kind, the words for a baseline that is no feature."""
FEWEST, MOST = 2, 50
"""Classes that an outcome may have."""
LONGEST = 100
"""Characters of a class: it names a column."""
Class = str | int | bool


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


class Classes(Section):
    """The one of `values` that is in `column`; without a value, no label."""

    column: Name
    values: tuple[Class, ...] | None = Field(
        None,
        description="The classes, 2 to 50, in the order of the columns that answer. May be left out of a bool column, "
        "and of an int one with both limits: then it is all that the column may hold.",
    )

    @field_validator("values", mode="before")
    @classmethod
    def _are_values(cls, values: Any) -> Any:
        for value in values if isinstance(values, (list, tuple)) else ():
            if not isinstance(value, (str, int)) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
                raise ValueError(f"'{value}' is no class: write texts (in quotes), whole numbers, or true and false")
        return values

    @field_validator("values")
    @classmethod
    def _are_told_apart(cls, values: tuple[Class, ...] | None) -> tuple[Class, ...] | None:
        if values is not None and (problem := next(_class_problems(values), None)):
            raise ValueError(problem)
        return values

    @property
    def answers(self) -> dict[str, str]:
        """Each class as text, by the column that its probability is in."""
        return {probability_column(value): class_text(value) for value in self.values or ()}


def class_text(value: Class) -> str:
    """Return a class as text, as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def probability_column(value: Class) -> str:
    """Return the column that a class's probability is in."""
    return "probability_" + re.sub(r"\W", "_", class_text(value))


def _class_problems(values: Sequence[Class]) -> Iterator[str]:
    if not FEWEST <= len(values) <= MOST:
        yield f"has {len(values)}; write {FEWEST} to {MOST} classes"
    texts = [class_text(value) for value in values]
    for text in texts:
        if len(text) > LONGEST:
            yield f"'{text[:20]}...' is too long: {LONGEST} characters at most"
    if twice := [text for text, count in Counter(texts).items() if count > 1]:
        yield f"'{twice[0]}' is there twice"
    columns: dict[str, str] = {}
    for value, text in zip(values, texts, strict=True):
        other = columns.setdefault(probability_column(value).lower(), text)
        if other != text:
            shared = f"'{other}' and '{text}' would share the column '{probability_column(other)}'"
            yield f"{shared}, as capitals tell no columns apart; land one of them otherwise"


class Outcome(Section):
    """The one kind that is declared."""

    binary: Binary | None = None
    regression: Regression | None = None
    none: Unlabelled | None = None
    classes: Classes | None = None

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
    def declared(self) -> Binary | Regression | Unlabelled | Classes:
        """What is declared of it."""
        kind: Binary | Regression | Unlabelled | Classes = getattr(self, self.kind)
        return kind

    @property
    def read(self) -> Binary | Regression | Classes | None:
        """What is declared of the labels; None where there are none."""
        return self.declared.report if isinstance(self.declared, Unlabelled) else self.declared

    @property
    def column(self) -> str | None:
        """The column that labels are read from; None where there are none."""
        return self.read.column if self.read is not None else None

    @property
    def predicted(self) -> str | None:
        """The column that models predict; None where they predict none, whatever a report reads."""
        return None if self.none is not None else self.column

    @property
    def scale(self) -> str:
        """What the models' answers are: models of another scale cannot be compared with them, nor answer in their
        place."""
        if self.classes:
            return f"classes of {json.dumps(self.classes.values)}"
        transform = self.regression.transform if self.regression else None
        return f"{self.kind} of {transform}" if transform else self.kind

    @property
    def values(self) -> tuple[Class, ...] | None:
        """All that its column may hold; None where any value of its type is one."""
        return self.classes.values if self.classes else None

    @property
    def answers(self) -> dict[str, str]:
        """Of classes, each as text by the column that its probability is in; nothing of another kind."""
        return self.classes.answers if self.classes else {}


def completed(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a workload's sections as they are meant.

    `label:`, the former word for a binary outcome, is `outcome:`, `outcome: none` a section without keys, the gate has
    the metric that is the kind's default, and classes are all values of their column where they are left out.

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
    if isinstance(outcome, Mapping) and isinstance(classes := outcome.get("classes"), Mapping):
        known = _values_of(classes.get("column"), sections.get("columns"))
        sections["outcome"] = {**outcome, "classes": {"values": known, **classes}}
    kind = next((kind for kind in METRICS if isinstance(outcome, Mapping) and outcome.get(kind) is not None), None)
    if kind is not None and isinstance(gate, Mapping):
        sections["gate"] = {"metric": METRICS[kind][0], **gate}
    return sections


def _values_of(name: Any, columns: Any) -> list[Class] | None:
    """Return all that a declared column may hold; None where that is not told, or is too much."""
    declared = columns.get(name) if isinstance(name, str) and isinstance(columns, Mapping) else None
    try:
        column: Any = parse_column(declared)
    except ValueError:  # told as the column's own
        return None
    if not isinstance(column, Mapping) or column.get("type") not in ("bool", "int"):
        return None
    if column["type"] == "bool":
        return [False, True]
    low, high = column.get("low"), column.get("high")
    if not isinstance(low, int) or not isinstance(high, int) or not FEWEST <= high - low + 1 <= MOST:
        return None
    return list(range(low, high + 1))
