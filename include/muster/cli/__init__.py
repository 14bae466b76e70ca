"""The command line: `./muster COMMAND`, one file a command, each importing what it needs only when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import typer
from typer.exceptions import TyperException

from muster.errors import MusterError, WrongArgument

COMMANDS = {
    "up": "up:up",
    "down": "down:down",
    "status": "status:status",
    "show": "show:show",
    "rollback": "rollback:rollback",
    "try": "attempt:try_",
    "bench": "bench:bench",
    "test": "test:test",
}
"""A command's name -> the module under `muster.cli` and the function in it."""

PASSING_ON = {"test"}
"""Commands whose unknown options belong to another program."""


def app(names: Sequence[str] = tuple(COMMANDS)) -> typer.Typer:
    """Build the command line of the named commands."""
    made = typer.Typer(
        name="muster",
        help="Retrain thousands of per-group models, gate them, promote the winners, score.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    made.callback()(lambda: None)
    for name in names:
        module, function = COMMANDS[name].split(":")
        passing = {"ignore_unknown_options": True, "allow_extra_args": True} if name in PASSING_ON else {}
        made.command(name, context_settings=passing)(getattr(import_module(f"muster.cli.{module}"), function))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a failure is one line on stderr and exit code 1, a wrong argument exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    names = [given[0]] if given[0] in COMMANDS else list(COMMANDS)
    try:
        code = app(names)(given, prog_name="muster", standalone_mode=False)
    except WrongArgument as error:
        code = _failed(str(error), 2)
    except MusterError as error:
        code = _failed(str(error), 1)
    except TyperException as error:
        code = _failed(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code
