"""`muster rollback`: go back to an earlier champion, whole or for chosen groups; shown before anything is moved."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Annotated

import typer

from muster.context import Context
from muster.errors import UnknownName, WrongArgument
from muster.settings import settings

FORMATS = ("table", "json")


class NotConfirmed(WrongArgument):
    """Raised when there is no terminal on which to confirm the rollback."""

    def __init__(self) -> None:
        super().__init__("there is no terminal to ask on; look with --dry-run, then add --yes and --why TEXT")


def rollback(
    workload: Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")],
    to: Annotated[str | None, typer.Option(help="The version to go back to. Default: before the last one.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only this group, UA,EWR,ORD; may be repeated.")] = None,
    who: Annotated[str, typer.Option(help="Who does it. Default: the user of this shell.")] = "",
    why: Annotated[str, typer.Option(help="Why, for the journal. Asked for on a terminal.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    format: Annotated[str, typer.Option(help="table or json.")] = "table",
) -> None:
    """Go back to an earlier champion: the whole pack, or chosen groups to the models they had. No Spark, no Airflow."""
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    asking = sys.stdin.isatty() and not yes
    if not (dry_run or asking or (yes and why.strip())):
        raise NotConfirmed
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
    if not (dry_run or plan.nothing):
        if asking:
            why = why or typer.prompt("Why", err=True)
            typer.confirm("Move the champion?", abort=True, err=True)
        result = roll_back(context, plan, who or _user(), why)
    if format == "json":
        typer.echo(json.dumps({**difference, "result": result}, indent=1))
    elif result:
        typer.echo(f"{result['now']} now, by {result['who']}.")


def _user() -> str:
    """Return the name of the user of this shell.

    Raises:
        WrongArgument: when the machine knows none.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise WrongArgument("this machine knows no name of yours; give it with --who NAME") from None
