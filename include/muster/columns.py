"""Columns side by side within a width: what does not fit is named, nothing that tells rows apart is cut."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP = 2
"""Cells between two columns."""

FOLDED_SHARE = 0.4
"""The share of the width that a folded column leaves to the others only where it needs no more."""


def print_columns(
    console: Console,
    texts: Mapping[str, Sequence[str]],
    right: Collection[str] = (),
    folded: str | None = None,
    first: Sequence[str] = (),
) -> None:
    """Print columns, each whole or not at all; `folded` is broken into lines instead, and is always there.

    Those named `first` get room before the others; they stand where they stood.
    """
    widths = {name: max(cell_len(text) for text in (name, *cells)) + GAP for name, cells in texts.items()}
    room = console.width - (min(widths[folded], int(console.width * FOLDED_SHARE)) if folded else 0)
    in_turn = [name for name in dict.fromkeys([*first, *widths]) if name in widths and name != folded]
    shown, hidden = _fitting({name: widths[name] for name in in_turn}, room, not folded)
    rest = console.width - sum(widths[name] for name in shown)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    names = [name for name in texts if name == folded or name in shown]
    for name in names:
        justify = "right" if name in right else "left"
        if name == folded:
            table.add_column(Text(name), overflow="fold", width=max(1, min(widths[name], rest) - GAP))
        else:
            table.add_column(Text(name), justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for row in zip(*(texts[name] for name in names), strict=True):
        table.add_row(*(Text(text) for text in row))
    console.print(table)
    if hidden:
        console.print(Text(f"too narrow for {', '.join(hidden)}: --format csv has all", style="dim"))


def _fitting(widths: Mapping[str, int], room: int, first_always: bool) -> tuple[list[str], list[str]]:
    """Divide columns into those that fit side by side, in order, and those that do not."""
    shown: list[str] = []
    hidden: list[str] = []
    for name, width in widths.items():
        if width <= room or (first_always and not shown):
            shown.append(name)
            room -= width
        else:
            hidden.append(name)
    return shown, hidden
