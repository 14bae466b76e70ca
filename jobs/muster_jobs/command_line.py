"""A job's command line: arguments in, a result file out, one line for bad input."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from muster.context import Context
from muster.errors import UnknownName, WrongArgument
from muster.mlflow import budget
from muster.mlflow.budget import BudgetSpent, muster_errors
from muster.settings import settings
from muster.storage.files import file_at
from muster.storage.object_store import redacted
from muster_jobs.failures import in_one_line, known_failure
from muster_jobs.job import Job


def main(
    stage: str, run: Callable[[Job], dict[str, Any]], *, partitioned: bool = True, options: Collection[str] = ()
) -> None:
    """Run a job from the command line: arguments in, result file out, one line for bad input.

    A job that MLflow's budget keeps waiting too long writes when to run it again, and why, and exits with code 75.
    A job that is not `partitioned` takes no `--partition`; `options` are the names that its `--option` may have.
    """
    arguments = _parser(stage, partitioned, options).parse_args()
    try:
        context = _context(arguments.workload, arguments.partition if partitioned else None)
        job = Job(stage, context, settings(), arguments.attempt, _options(arguments.option, options))
        started = time.monotonic()
        with muster_errors():
            counts = run(job)
        calls = budget.count() + sum(job.executors_calls)
        measured = {"seconds": round(time.monotonic() - started, 3), "mlflow_calls": calls}
    except BudgetSpent as spent:
        write_result({"until": spent.until.isoformat(), "why": spent.why}, arguments.result)
        print(f"later: {spent}", file=sys.stderr)  # noqa: T201 - the log's last line gives the reason
        sys.exit(os.EX_TEMPFAIL)
    except (Exception, SystemExit) as error:  # whatever ends the process, a job without a result has failed
        sys.exit(_failed(error))
    write_result({**counts, **measured}, arguments.result)


def _failed(error: BaseException) -> int:
    """Print what failed as the log's last line, after a traceback where nobody foresaw it; return the exit code."""
    known = known_failure(error)
    if known is None:
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))
    print(redacted(f"error: {known or in_one_line(error)}"), file=sys.stderr)  # noqa: T201 - read by whoever started the job
    return 1 if known is None or known.retryable else os.EX_DATAERR


def _context(file: Path, partition: str | None) -> Context:
    context = Context.of_file(file, settings())
    return context if partition is None else context.at(partition)


def write_result(result: dict[str, Any], to: str | None) -> None:
    """Write a result as JSON, whole or not at all; print it where no file is named."""
    text = json.dumps(result, indent=1, default=str)
    if to is None:
        print(text)  # noqa: T201 - run by hand
        return
    files, path = file_at(to)
    files.put(path, text.encode())


def _parser(stage: str, partitioned: bool, options: Collection[str]) -> argparse.ArgumentParser:
    about = f"The {stage} stage of one workload{' for one partition' * partitioned}."
    parser = argparse.ArgumentParser(prog=f"python -m muster_jobs.{stage}", description=about, allow_abbrev=False)
    parser.add_argument("--workload", required=True, type=Path, help="the workload's YAML file")
    if partitioned:
        parser.add_argument("--partition", required=True, help="the partition's date, 2013-05-06")
    allowed = f"one of: {', '.join(options)}" if options else "this job has none"
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help=allowed)
    parser.add_argument("--attempt", default="by-hand", help="names this attempt in results and logs")
    parser.add_argument("--result", help="the path or URI that the result is written to as JSON; printed when left out")
    return parser


def _options(texts: Sequence[str], known: Collection[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in known:
            raise UnknownName("option", name, known)
        if not equals or name in values:
            raise WrongArgument(f"the option '{text}' is not 'name=value', or '{name}' is given twice")
        values[name] = value
    return values
