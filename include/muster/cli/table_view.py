"""Rows for a person: columns that say something, within the terminal's width."""

from __future__ import annotations

import shutil
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from muster.columns import GAP, print_columns
from muster.printable import FOLDED, cell
from muster.storage.query import Rows

FIRST = ("verdict", "candidate_score", "champion_score", "baseline_score", "state", "score")
"""Columns of any table that a narrow terminal has room for before all others: what a group came to, and its scores."""


def view(rows: Rows, out: TextIO) -> None:
    """Print rows as a table, or a single row as its fields; piped, no line is cut to a width."""
    width = shutil.get_terminal_size().columns if out.isatty() else 100_000
    console = Console(file=out, width=width, highlight=False)
    records = list(rows.records())
    if len(records) == 1:
        console.print(_fields(records[0]))
    elif records:
        _print_columns(console, {name: [record[name] for record in records] for name in records[0]})
    console.print(Text(_count(len(records), rows.total), style="dim"))


def _print_columns(console: Console, columns: dict[str, list[Any]]) -> None:
    """Print the columns that differ from row to row; what all rows share is printed once, above."""
    shared = {name: values[0] for name, values in columns.items() if all(value == values[0] for value in values)}
    common = [f"{name} {cell(value)}" for name, value in shared.items() if value is not None]
    if common:
        console.print(Text("  ".join(common), style="dim"))
    folded = "group" if "group" in columns and "group" not in shared else None
    texts = {
        name: [cell(value, *([FOLDED] if name == folded else [])) for value in values]
        for name, values in columns.items()
        if name not in shared
    }
    numbers = {name for name in texts if any(isinstance(value, (int, float)) for value in columns[name])}
    print_columns(console, texts, numbers, folded, FIRST)


def _fields(row: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in row.items():
        table.add_row(Text(name), Text(cell(value, FOLDED)))
    return table


def _count(shown: int, total: int) -> str:
    if shown == total:
        return "no rows" if total == 0 else f"{total:,} row{'s' * (total != 1)}"
    return f"the first {shown:,} of {total:,} rows; --limit shows more"
