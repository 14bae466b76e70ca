"""`muster rollback`: go back to an earlier champion, whole or for chosen groups; shown before anything is moved."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from muster.cli.records import one_line, write_csv, write_json
from muster.context import Context
from muster.errors import UnknownName, WrongArgument
from muster.settings import settings

if TYPE_CHECKING:
    from muster.promotion.rollback_plan import RollbackPlan

FORMATS = ("table", "csv", "json")
TO = (
    "The version to go back to. Default: before the last one. 'present': none other, but what MLflow has lost of the "
    "champions is uploaded again. 'none': the groups that are named have no champion then."
)
COLUMNS = (
    *("group", "change", "taken_from", "metric", "score_before", "score_after"),
    *("run_before", "algorithm_before", "run_after", "algorithm_after"),
)
"""What csv and json tell of each group that changes."""


class NotConfirmed(WrongArgument):
    """Raised, before anything is read, when the rollback is not confirmed and nobody can be asked."""

    def __init__(self, yes: bool) -> None:
        problem = "--yes goes with a reason" if yes else "there is no terminal to ask on"
        super().__init__(f"{problem}; look with --dry-run, then add {'' if yes else '--yes and '}--why TEXT")


def rollback(
    workload: Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")],
    to: Annotated[str | None, typer.Option(help=TO)] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only this group, UA,EWR,ORD; may be repeated.")] = None,
    who: Annotated[str, typer.Option(help="Who does it. Default: the user of this shell.")] = "",
    why: Annotated[str, typer.Option(help="Why, for the journal. Asked for on a terminal.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
) -> None:
    """Go back to an earlier champion: the whole pack, or chosen groups to the models they had. No Spark, no Airflow."""
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    terminal = sys.stdin is not None and sys.stdin.isatty()
    asking = terminal and not yes
    if not (dry_run or asking or (yes and why.strip())):
        raise NotConfirmed(yes)
    who = who or ("" if dry_run else _user())
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # a line a model that is uploaded again says nothing here
    from muster.mlflow.budget import MlflowRefused, muster_errors

    context = Context.named(workload, settings())
    try:
        with muster_errors():
            _roll_back(context, to, group or [], who, why, dry_run, asking, format)
    except Exception as error:
        if (refused := MlflowRefused.of(error)) is None:
            raise
        raise refused from error


def _roll_back(
    context: Context, to: str | None, groups: list[str], who: str, why: str, dry_run: bool, asking: bool, format: str
) -> None:
    from muster.promotion.difference_text import view
    from muster.promotion.rollback import plan_rollback, roll_back

    plan = plan_rollback(context, to, groups)
    difference, result = plan.difference, None
    if format == "table":
        view(context.workload.name, difference, sys.stdout)
    elif format == "csv":
        write_csv(COLUMNS, _rows(plan), sys.stdout)
    if not (dry_run or plan.nothing):
        if asking:
            why = why or typer.prompt("Why", err=True)
            typer.confirm("Move the champion?", abort=True, err=True)
        result = roll_back(context, plan, who, why)
    if format == "json":
        head = {name: value for name, value in difference.items() if name != "shown"}
        _write_json({**head, "result": result}, _rows(plan), sys.stdout)
    elif result:
        typer.echo(f"{result['now']} now, by {result['who']}.", err=format == "csv")


def _rows(plan: RollbackPlan) -> Iterator[dict[str, Any]]:
    """Yield a flat row for every group that changes, however many a terminal shows."""
    for change in plan.changes:
        before, after, compared = change.before or {}, change.after or {}, change.compared or {}
        scores = (compared.get(name) for name in ("metric", "before", "after"))
        models = (model.get(name) for model in (before, after) for name in ("origin_run", "algorithm"))
        yield dict(zip(COLUMNS, (change.group, change.change, change.taken_from, *scores, *models), strict=True))


def _write_json(report: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write one object: what the rollback is about, and its groups as `rows`, an object a line."""
    out.write(f'{one_line(report)[:-1]}, "rows": ')
    write_json(rows, out)
    out.write("}\n")


def _user() -> str:
    """Return the name of the user of this shell.

    Raises:
        WrongArgument: when the machine knows none.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise WrongArgument("this machine knows no name of yours; give it with --who NAME") from None
