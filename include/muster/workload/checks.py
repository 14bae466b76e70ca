"""What pydantic cannot check: columns that are declared, keys that fit together, dates that fit the schedule."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date

from muster.printable import cell
from muster.workload.deadline_checks import alerts, deadlines
from muster.workload.freshness_checks import freshness
from muster.workload.monitor_checks import monitor
from muster.workload.outcome import BASELINES, METRICS
from muster.workload.outcome_checks import only_baseline, outcome_path, outcome_type, predictions, without_labels
from muster.workload.retrain_checks import retrain
from muster.workload.rule import Rule
from muster.workload.source_checks import source
from muster.workload.spec import RESERVED, Gate, Parent, Workload
from muster.workload.windows import slice_of
from muster.workload.wording import Problem
from muster.workload.zone_checks import due

_KIND_OF_TYPE = {"int": "number", "float": "number", "date": "time", "timestamp": "time"}
"""Which types of columns a rule may compare with each other; any other only with its own."""

RANDOM_VOLUME = 0.95
"""See `evaluation.mass_volume`."""
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def names(workload: Workload) -> Iterator[Problem]:
    """Find columns that are named but not declared, or named twice; in tables capitals tell no two names apart."""
    columns, seen = workload.columns, dict[str, str]()
    for name in columns:
        # The time is the one column that may bear the name that Muster gives it.
        if name.lower() in RESERVED and not (name == workload.time and name.lower() == "time"):
            yield f"columns.{name}", "is a name that Muster writes itself; land the column under another name"
        other = seen.setdefault(name.lower(), name)
        if other != name:
            yield f"columns.{name}", f"differs from '{other}' by capitals only; land one of them under another name"
    named = [("keys", workload.keys), ("unique", workload.unique)]
    named.append(("time", (workload.time,)))
    if workload.outcome.column is not None:
        named.append((outcome_path(workload), (workload.outcome.column,)))
    for path, listed in named:
        for name in dict.fromkeys(listed):
            if name not in columns:
                yield path, f"'{name}' is none of the declared columns"
            if listed.count(name) > 1:
                yield path, f"'{name}' is there twice"


def types(workload: Workload) -> Iterator[Problem]:
    """Find columns whose type does not suit what they are for."""
    columns = workload.columns
    for name in dict.fromkeys((*workload.keys, *workload.unique, workload.time)):
        if name in columns and columns[name].optional:
            yield f"columns.{name}", "may not be missing ('?'): it is a key, the time or part of 'unique'"
    if workload.time in columns and columns[workload.time].type != "timestamp":
        yield f"columns.{workload.time}", "is the time, so its type is 'timestamp'"
    yield from outcome_type(workload)
    for key in workload.keys:
        if key in columns and columns[key].type not in ("string", "int", "date"):
            yield f"columns.{key}", "is a key, so its type is string, int or date"


def rules(workload: Workload) -> Iterator[Problem]:
    """Find rules across columns that are not declared, or that cannot be compared."""
    for name, rule in workload.rules.items():
        missing = [side for side in (rule.left, rule.right) if side not in workload.columns]
        for side in missing:
            yield f"rules.{name}", f"'{side}' is none of the declared columns"
        if not missing:
            yield from ((f"rules.{name}", problem) for problem in _not_comparable(workload, rule))


def _not_comparable(workload: Workload, rule: Rule) -> Iterator[str]:
    left, right = (_KIND_OF_TYPE.get(workload.columns[side].type, "other") for side in (rule.left, rule.right))
    if rule.left == rule.right:
        yield f"compares '{rule.left}' with itself"
    if left != right or (left == "other" and workload.columns[rule.left].type != workload.columns[rule.right].type):
        yield f"'{rule.left}' and '{rule.right}' are of types that cannot be compared"
    elif left == "other" and (rule.comparison not in ("==", "!=") or rule.plus):
        yield f"'{rule.left}' is neither a number nor a time: it can be compared by == and != only, without an amount"
    elif left == "time" and rule.plus and rule.unit is None:
        yield "the amount needs a unit of time: s, min, h or d"
    elif left == "number" and rule.unit is not None:
        yield f"the amount has the unit '{rule.unit}', but '{rule.left}' is a number"


def weight(workload: Workload) -> Iterator[Problem]:
    """Find a weight that is no number of every row, or is told by what it would weigh."""
    name = workload.weight
    if name is None:
        return
    column, outcome = workload.columns.get(name), getattr(workload, "outcome", None)
    if column is None:
        yield "weight", f"'{name}' is none of the declared columns"
    elif column.type not in ("int", "float"):
        yield "weight", f"'{name}' is {column.type}: a weight is a number above 0; its type is int or float"
    elif column.optional:
        yield "weight", f"'{name}' may be missing ('?'), and every row has a weight: write '{name}: {column.type}'"
    if name in workload.keys:
        yield "weight", f"'{name}' is a key: all rows of a group would weigh the same; name another column"
    if outcome and name == outcome.column:
        yield "weight", f"'{name}' is the outcome's column: rows would count by what is predicted; name another column"
    for algorithm, declared in workload.algorithms.items():
        if declared.search is not None:
            why = "a search scores its folds without weights, and would choose by another metric than the gate's"
            yield f"algorithms.{algorithm}.search", f"does not go with 'weight: {name}': {why}; leave one of them out"


def features(workload: Workload) -> Iterator[Problem]:
    """Find features whose names are taken, and a baseline that is none of them."""
    columns = workload.features.columns
    taken = {*RESERVED, *(key.lower() for key in workload.keys)}
    for place, name in enumerate(columns):
        if name.lower() in taken:
            yield f"features.columns.{place}", f"'{name}' is taken; give the feature another name"
        taken.add(name.lower())
    outcome = getattr(workload, "outcome", None)  # its own problem, where it does not hold
    baseline, words = workload.gate.baseline, BASELINES[outcome.kind if outcome else "regression"]
    if outcome and (problem := only_baseline(outcome, baseline)):
        yield "gate.baseline", problem
    elif isinstance(baseline, str) and baseline not in (*words, *columns):
        listed = ", ".join(f"'{word}'" for word in words)
        yield "gate.baseline", f"'{baseline}' is neither one of features.columns, nor a number, nor {listed}"


def gate(workload: Workload) -> Iterator[Problem]:
    """Find a gate that could not promote anything, or whose keys do not fit together."""
    declared, days = workload.gate, workload.windows.evaluate
    if (column := workload.resample_by) is not None and column not in workload.columns:
        yield "gate.resample", f"'{column}' is neither 'day' nor 'row', nor one of the declared columns"
    elif column is not None and column in workload.keys:
        why = "a group's rows all have one value in it, and no group could be judged"
        yield "gate.resample", f"'{column}' is one of the keys: {why}; name another column"
    elif column is not None and workload.columns[column].optional:
        yield "gate.resample", f"'{column}' may be missing ('?'): every row belongs to what is drawn as one"
    if declared.resample == "day" and days < declared.min_days:
        yield (
            "gate.resample",
            f"days are resampled, gate.min_days asks for {declared.min_days} of them, windows.evaluate has {days}: no "
            "group could be judged; judge on more days, or write 'resample: row' where rows of a day are independent",
        )
    if declared.metric not in (fitting := METRICS[workload.outcome.kind]):
        yield (
            "gate.metric",
            f"'{declared.metric}' does not go with 'outcome: {workload.outcome.kind}': write {' or '.join(fitting)}",
        )
    if declared.metric == "log_loss" and isinstance(declared.baseline, float) and not 0 <= declared.baseline <= 1:
        yield "gate.baseline", f"{declared.baseline:g} is no probability, which 'metric: log_loss' is of"
    if (declared.quantile is None) == (declared.metric == "pinball"):
        yield "gate.quantile", "is of 'metric: pinball', which needs it: 0.9 where nine in ten are to be below"
    if declared.margin and declared.rule == "better" and declared.max_age is None:
        yield "gate.margin", "is of 'rule: not_worse' or of 'max_age'; write one of them, or leave it out"
    if declared.least_gain and declared.rule == "not_worse":
        yield "gate.least_gain", "is of 'rule: better'; 'rule: not_worse' takes 'margin'"
    if declared.margin == 0 and (declared.rule == "not_worse" or declared.max_age is not None):
        why = "rule: not_worse" if declared.rule == "not_worse" else "max_age"
        yield "gate.margin", f"'{why}' needs it: how much worse, in units of {declared.metric}, is still good enough"
    yield from without_labels(declared, workload.outcome.none is not None)
    finest = 0.5 ** min(days, 1000)
    drawn = declared.mode == "enabled" and declared.resample == "day" and days >= declared.min_days
    if drawn and finest > declared.false_promotions:
        why = f"no gain over {days} days is surer than {finest:g}, one half for each day"
        yield "gate.false_promotions", f"{why}: {declared.false_promotions:g} asks for more days to judge on"
    yield from _reachable(declared)


def _reachable(gate: Gate) -> Iterator[Problem]:
    """Find a bar that every model is over, or none."""
    if gate.at_least is None or not math.isfinite(gate.at_least):  # which is told already
        return
    if gate.metric in ("roc_auc", "average_precision"):
        if not 0 < gate.at_least < 1:
            what = "surpassed by no" if gate.at_least >= 1 else "surpassed by any"
            yield "gate.at_least", f"{gate.at_least:g} is {what} {gate.metric}: write a number between 0 and 1"
    elif gate.metric == "mass_volume" and gate.at_least >= RANDOM_VOLUME:
        what = f"what ranks at random has a mass_volume of {RANDOM_VOLUME:g}"
        yield "gate.at_least", f"{gate.at_least:g} asks for nothing, as {what}: write a smaller number"
    elif gate.at_least <= 0:
        yield "gate.at_least", f"no {gate.metric} is below {gate.at_least:g}: write a number above 0"


def fallback(workload: Workload) -> Iterator[Problem]:
    """Find a parent that pools by what is no key, or over nothing."""
    parent = workload.pack.fallback
    if not isinstance(parent, Parent):
        return
    for key in parent.keys:
        if key not in workload.keys:
            yield "pack.fallback.keys", f"'{key}' is none of the keys"
    if set(parent.keys) >= set(workload.keys):
        yield "pack.fallback.keys", "must leave out at least one key to pool over"


def schedule(workload: Workload) -> Iterator[Problem]:
    """Find dates that are no partitions of the schedule."""
    declared = workload.schedule
    if declared.end is not None and declared.end < declared.start:
        yield "schedule.end", f"{declared.end} is before the start {declared.start}"
    for place, day in enumerate(declared.demo):
        outside = day < declared.start or (declared.end is not None and day > declared.end)
        if outside or slice_of(workload, day) != day:
            yield f"schedule.demo.{place}", f"{day} starts no slice of {declared.every} days from {declared.start}"
    if declared.cron is not None and (problem := _cron_problem(declared.cron, declared.every, declared.start)):
        yield "schedule.cron", problem


def _cron_problem(cron: str, every: int, start: date) -> str | None:
    """Return why a cron does not come exactly once a slice: one of every day does, and one of a weekday."""
    if every not in (1, 7):
        return (
            f"'{cell(cron)}': no cron tells slices of {every} days apart, only those of 1 and 7; "
            "leave it out, and trigger `ingest` with a partition key"
        )
    weekday = "*" if every == 1 else str(start.isoweekday() % 7)
    match = re.fullmatch(r"(\d{1,2})\s+(\d{1,2})\s+\*\s+\*\s+(\*|\w{1,3})", cron.strip(), re.ASCII)
    if match and int(match[1]) < 60 and int(match[2]) < 24 and _weekday(match[3]) == weekday:
        return None
    due = "every day" if every == 1 else f"every {start:%A}, as the slices begin"
    return f"'{cell(cron)}' is no time of {due}; write minute and hour so: '0 6 * * {weekday}'"


def _weekday(text: str) -> str:
    """Return a cron's day of the week as its digit, Sunday as 0."""
    if text.lower() in _WEEKDAYS:
        return str(_WEEKDAYS.index(text.lower()))
    return "0" if text == "7" else text


SECTION_CHECKS = (
    *(names, types, source, rules, weight, features, gate, fallback, predictions),
    *(schedule, due, freshness, retrain, monitor, deadlines, alerts),
)
