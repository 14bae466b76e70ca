"""What a rollback changes, for a person: the first groups, and counts of all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from muster.champions.errors import version_text
from muster.columns import print_columns
from muster.errors import bounded
from muster.printable import FOLDED, cell, number

COLUMNS = ("group", "change", "score before", "score after", "taken from", "run before", "run after")


def view(workload: str, difference: Mapping[str, Any], out: TextIO) -> None:
    """Print from where to where, how many groups change, and each listed group's model before and after."""
    width = shutil.get_terminal_size().columns if out.isatty() else 100_000
    console = Console(file=out, width=width, highlight=False)
    console.print(Text(f"{workload}: {_headline(difference)}", style="bold"))
    if difference["problem"]:
        console.print(Text(f"the champion's own pack was not read: {difference['problem']}", style="red"))
    if difference["nothing_to_do"]:
        console.print("nothing to do: all is as asked already")
        return
    print_columns(console, _columns(difference["shown"]), right=COLUMNS[2:4], folded="group")
    if any(row.get("compared") for row in difference["shown"]):
        console.print(Text("scores: of both models on the same rows, as the gate has compared them", style="dim"))
    total = sum(difference[kind] for kind in ("changes", "appears", "disappears"))
    if total > len(difference["shown"]):
        console.print(Text(f"the first {len(difference['shown'])} of {number(total, 'group')}", style="dim"))
    for line in _counts(difference):  # last: it is what a terminal or a log still shows
        console.print(Text(line))


def _headline(difference: Mapping[str, Any]) -> str:
    """Return from where to where: of the one champion, or in the words of a difference of many."""
    if scope := difference.get("scope"):
        return cell(scope, 1_000)
    to = difference["to_version"]
    goal = f"version {to}" if to else "a new version"
    return f"{version_text(difference['from_version'])} -> {goal}"


def _counts(difference: Mapping[str, Any]) -> list[str]:
    """Return the counts as lines."""
    changes, appears, disappears = (difference[kind] for kind in ("changes", "appears", "disappears"))
    lines = [
        f"{number(changes, 'group')} {_verb('change', changes)}, {appears:,} {_verb('appear', appears)}, "
        f"{disappears:,} {_verb('disappear', disappears)}; {difference['groups']:,} after"
    ]
    taken = ", ".join(f"version {version} ({count:,})" for version, count in difference["taken_from"].items())
    if difference["to_version"] is None:
        lines.append(f"models taken from {taken}")
    if count := difference.get("uploads_again"):
        what = f"{number(count, 'model')} ({bounded(difference['uploaded'])})" if difference["scope"] else "the pack"
        lines.append(f"files of {what} are gone in MLflow: they are uploaded again, as the store has them")
    if disappears:
        lines.append(f"groups that disappear have no model then: {_fallback(difference['fallback'])}")
    return lines


def _fallback(declared: str) -> str:
    """Return what answers without a model; parents are groups of a pack, too, and may be those that disappear."""
    if declared == "parent":
        return "a parent answers where there still is one, else the baseline"
    if declared == "error":
        return "the fallback is 'error', so nothing is scored until they have one"
    return f"the fallback '{declared}' answers"


def _verb(verb: str, count: int) -> str:
    return f"{verb}s" if count == 1 else verb


def _columns(shown: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the texts of each column, those that matter most at night first: a narrow terminal holds no more."""
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    for row in shown:
        texts = (
            *(cell(row["group"], FOLDED), row["change"], *_scores(row)),
            f"version {row['taken_from']}",
            *(_model(row[side] or {}) for side in ("before", "after")),
        )
        for name, text in zip(COLUMNS, texts, strict=True):
            columns[name].append(text)
    return columns


def _scores(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return both models' scores, of the same rows."""
    if compared := row.get("compared"):
        return cell(compared["before"]), cell(compared["after"])
    return ("not comparable", "") if row["change"] == "changes" else ("-", "-")


def _model(model: Mapping[str, Any]) -> str:
    """Return a model's run and, where the manifest has it, its algorithm."""
    return " ".join(cell(model[name]) for name in ("origin_run", "algorithm") if model.get(name)) or "-"
