"""`muster show`: rows of any table, for people or for programs, without Spark."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, TextIO

import typer

from muster import groups
from muster.cli.records import write_csv, write_json
from muster.context import Context
from muster.errors import UnknownName
from muster.printable import cell
from muster.settings import settings
from muster.storage.query import Rows, group_names, read_rows
from muster.storage.row_filter import NotAGroup, RowFilter
from muster.storage.tables import TABLES
from muster.trial.group_keys import ParentGroup, canonical_group

SCREEN_ROWS = 20
"""Rows shown to a person who named no limit; csv and json then hold every row."""


def show(
    workload: Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")],
    table: Annotated[str, typer.Argument(help=f"One of {', '.join(TABLES)}.")],
    partition: Annotated[str | None, typer.Option(help="Only this partition: the first day of its slice.")] = None,
    group: Annotated[str | None, typer.Option(help="Only this group: its keys as a CSV row, UA,EWR,ORD.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Only groups that begin so, as tables have it: UA,")] = None,
    state: Annotated[str | None, typer.Option(help="Only groups that the run trained, skipped or failed.")] = None,
    verdict: Annotated[str | None, typer.Option(help="Only groups with this verdict: promote, hold, reject.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only rows whose reason has this text in it.")] = None,
    in_a_row: Annotated[int | None, typer.Option(min=1, help="Only groups for which that held so often last.")] = None,
    sort: Annotated[str | None, typer.Option(help="Sort by this column; -COLUMN: the largest first.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many rows, the newest first.")] = None,
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
) -> None:
    """Show rows of a table, newest first, without Spark: 20 as a table, or all of them as csv or json."""
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    context = Context.named(workload, settings())
    if limit is None and format == "table":
        limit = SCREEN_ROWS
    wanted = RowFilter(partition, group, prefix, state, verdict, reason, in_a_row, sort)
    rows = read_rows(context.workload, context.store, table, wanted, limit)
    if group is not None and rows.total == 0 and (name := _as_in_tables(context, group)) != group:
        wanted = replace(wanted, group=name)
        rows = read_rows(context.workload, context.store, table, wanted, limit)
    if group is not None and rows.total == 0:
        _name_the_nearest(context, table, group)
    try:
        FORMATS[format](rows, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough: `| head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends


def _as_in_tables(context: Context, group: str) -> str:
    """Return a group's name as the tables have it, from what a person typed, as `try` takes it; a parent's as it is."""
    with suppress(NotAGroup, ParentGroup):
        return canonical_group(context.workload, group)
    return group


def _name_the_nearest(context: Context, table: str, group: str) -> None:
    """Say on stderr what a group that the table does not have may have meant."""
    known = group_names(context.store, table)
    if group not in known and (near := groups.nearest(group, known)):
        names = ", ".join(f"'{cell(name)}'" for name in near)
        sys.stderr.write(f"{table} has no group '{cell(group)}'; the nearest are: {names}\n")


def _as_table(rows: Rows, out: TextIO) -> None:
    from muster.cli.table_view import view

    view(rows, out)


def _as_csv(rows: Rows, out: TextIO) -> None:
    write_csv(rows.table.column_names, rows.records(), out)


def _as_json(rows: Rows, out: TextIO) -> None:
    write_json(rows.records(), out)


FORMATS: dict[str, Callable[[Rows, TextIO], None]] = {"table": _as_table, "csv": _as_csv, "json": _as_json}
