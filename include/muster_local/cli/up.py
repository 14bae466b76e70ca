"""`./muster up`: the services, the data, and the line from landed files to scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from muster.mlflow.sign_in import Login
    from muster.settings import Settings
    from muster.workload.spec import Workload


def up(
    workload: Annotated[str, typer.Option(help="The workload to run: a file of include/workloads/.")] = "flight_delays",
    partition: Annotated[list[str] | None, typer.Option(help="A partition to run; may be given again.")] = None,
    weeks: Annotated[int | None, typer.Option(min=0, help="Run only the first so many partitions; 0: none.")] = None,
) -> None:
    """Start the services, land the data, and bring the workload's partitions through all stages in Airflow."""
    from rich.console import Console

    from muster.settings import settings
    from muster.workload.load import find_workload
    from muster.workload.windows import partition_windows

    found = find_workload(workload, settings().workloads)
    wanted = [partition_windows(found, day).key for day in partition or found.schedule.demo][:weeks]
    console = Console(highlight=False)
    with _nothing_left_behind(settings(), console):
        _start(settings(), console)
        if wanted:
            _run(found, wanted, settings(), console)
    _tell_where(settings(), console)


def _start(settings: Settings, console: Console) -> None:
    import time

    from muster_local import local

    states: dict[str, str] = {}
    with console.status("Starting the services") as spinner:

        def tell(service: str, state: str) -> None:
            states[service] = state
            waiting = [name for name, told in states.items() if told != "healthy"]
            spinner.update(f"Starting {', '.join(waiting)}" if waiting else "Started")

        began = time.monotonic()
        local.start(settings, tell=tell)
    console.print(f"[green]✓[/] {len(states)} services are healthy ({time.monotonic() - began:.0f} s)")


def _run(workload: Workload, wanted: list[str], settings: Settings, console: Console) -> None:
    """Land the files and bring each partition that was not scored yet through the stages, one after the other."""
    from muster.ingest.landing import land
    from muster.storage.store import Store
    from muster_local.airflow_api import Airflow
    from muster_local.line import Line, LineStopped
    from muster_local.passwords import airflow_login
    from muster_local.progress import ended
    from muster_local.summary import summary

    store = Store(settings.store_root, workload.name)
    waiting = [partition for partition in wanted if partition not in ended(store, "score")]
    if waiting:
        if workload.landing:
            with console.status(f"Landing the files of {workload.name}"):
                landed = land(workload, settings.workloads, store)
            console.print(f"[green]✓[/] {landed.written} files landed, {landed.days} days are there")
        with console.status("Waiting for the DAGs") as spinner:

            def tell(stage: str, state: str, seconds: float | None) -> None:
                if state == "success":
                    console.print(f"  [green]✓[/] {stage:<9} {seconds or 0:6.1f} s")
                elif state == "failed":
                    console.print(f"  [red]✗[/] {stage}")
                else:
                    spinner.update(f"{stage} {state}")

            line = Line(Airflow(settings.airflow_url, airflow_login(settings)), workload.name, tell)
            try:
                line.open()
                for partition in waiting:
                    console.print(f"{workload.name} {partition}")
                    line.run(partition)
            except LineStopped as stopped:
                for text in stopped.log:
                    console.print(f"  | {text}", markup=False, soft_wrap=True)
                typer.echo(f"error: {stopped}", err=True)
                raise typer.Exit(1) from None
    for partition in wanted:
        console.print()
        console.print(summary(store, partition))


def _tell_where(settings: Settings, console: Console) -> None:
    from muster.mlflow.sign_in import mlflow_login
    from muster_local.passwords import airflow_login

    def how(login: Login | None) -> str:
        return f"   sign in as '{login.user}', the password is in {login.file}" if login else ""

    console.print()
    console.print(f"Airflow   {settings.airflow_url}{how(airflow_login(settings))}", soft_wrap=True)
    console.print(f"MLflow    {settings.mlflow_tracking_uri}{how(mlflow_login(settings))}", soft_wrap=True)
    console.print(f"Spark     http://{settings.spark_address}:{settings.spark_ui_port}")
    if settings.exposed:
        console.print("[yellow]Passwords travel unencrypted: put a proxy with TLS before Airflow and MLflow.[/]")
    if settings.spark_exposed:
        console.print("[yellow]Spark asks for no password: whoever reaches its ports can run anything as this user.[/]")
    console.print("[dim]./muster status tells how they are, ./muster down stops them.[/]")


@contextmanager
def _nothing_left_behind(settings: Settings, console: Console) -> Iterator[None]:
    """Stop everything when the user, or the system, stops this command or the services cannot start."""
    import signal
    import sys

    from muster_local import local
    from muster_local.errors import AlreadyStarting, StackError

    def stop(number: int, _: object) -> None:
        sys.exit(128 + number)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    try:
        yield
    except AlreadyStarting:
        raise
    except (SystemExit, StackError):
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        console.print("Stopping what was started...")
        local.stop(settings)
        raise
