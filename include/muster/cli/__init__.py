"""The command line: `muster COMMAND`, one file a command, each importing what it needs only when it runs."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module

import typer
from typer.exceptions import TyperException

from muster.errors import MusterError, WrongArgument
from muster.settings.connections import adopt_store_variables
from muster.storage.object_store import NotAvailable

COMMANDS = {
    "show": "muster.cli.show:show",
    "rollback": "muster.cli.rollback:rollback",
    "try": "muster.cli.try_group:try_",
    "migrate": "muster.cli.migrate:migrate",
    "housekeeping": "muster.cli.housekeeping:housekeeping",
}
"""A command's name -> its module and the function in it."""


def app(commands: Mapping[str, str] = COMMANDS, pass_through: Collection[str] = ()) -> typer.Typer:
    """Build the command line of `commands`; unknown options of those in `pass_through` go to another program."""
    command_line = typer.Typer(
        name="muster",
        help="Retrain thousands of per-group models, gate them, promote the winners, score.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    command_line.callback()(lambda: None)
    for name, reference in commands.items():
        module, function = reference.split(":")
        options = {"ignore_unknown_options": True, "allow_extra_args": True} if name in pass_through else {}
        command_line.command(name, context_settings=options)(getattr(import_module(module), function))
    return command_line


def main(
    arguments: Sequence[str] | None = None, commands: Mapping[str, str] = COMMANDS, pass_through: Collection[str] = ()
) -> None:
    """Run a command; a failure is one line on stderr and exit code 1, a wrong argument exit code 2."""
    adopt_store_variables()
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    chosen = {words[0]: commands[words[0]]} if words[0] in commands else commands
    try:
        code = app(chosen, pass_through)(words, prog_name="muster", standalone_mode=False)
    except WrongArgument as error:
        code = _failed(str(error), 2)
    except MusterError as error:
        code = _failed(str(error), 1)
    except OSError as error:
        if isinstance(error, BrokenPipeError) or (error.errno is None and not isinstance(error, NotAvailable)):
            raise
        code = _failed(str(error), 1)
    except TyperException as error:
        code = _failed(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code
