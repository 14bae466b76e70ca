"""`./muster up`: the services, the data, and the line from landed files to scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from muster.context import Context
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

    from muster.context import Context
    from muster.settings import settings

    context = None if weeks == 0 else Context.named(workload, settings())
    demo = partition or (context.workload.schedule.demo if context else ())
    partitions = [context.at(str(day)).partition for day in demo][:weeks] if context else []
    console = Console(highlight=False)
    _exit_when_stopped()
    running = _start(settings(), console)
    if context and partitions:
        with stopping_what_was_started(settings(), running, console):
            _run(context, partitions, settings(), console)
    _print_addresses(settings(), console)


def _start(settings: Settings, console: Console) -> set[str]:
    """Start the services; return those that ran already."""
    import time

    from muster_local import local

    states: dict[str, str] = {}
    with console.status("Starting the services") as spinner:

        def on_state(service: str, state: str) -> None:
            states[service] = state
            unhealthy = [name for name, current in states.items() if current != "healthy"]
            spinner.update(f"Starting {', '.join(unhealthy)}" if unhealthy else "Started")

        began = time.monotonic()
        try:
            running = local.start(settings, on_state=on_state)
        except SystemExit:
            console.print("Stopped what was started.")
            raise
    console.print(f"[green]✓[/] {len(states)} services are healthy ({time.monotonic() - began:.0f} s)")
    return running


def _run(context: Context, partitions: list[str], settings: Settings, console: Console) -> None:
    """Land the files and bring each unfinished partition through the stages, one after the other."""
    from muster.ingest.landing import land
    from muster_local.progress import unfinished
    from muster_local.summary import summary

    workload, store = context.workload, context.store
    waiting = unfinished(store, partitions, workload)
    if waiting:
        if workload.landing:
            with console.status(f"Landing the files of {workload.name}"):
                landed = land(context)
            console.print(f"[green]✓[/] {landed.written} files landed, {landed.days} days are there")
        _run_stages(workload, waiting, settings, console)
    for partition in partitions:
        console.print()
        console.print(summary(context, partition))


def _run_stages(workload: Workload, partitions: list[str], settings: Settings, console: Console) -> None:
    from muster.airflow_api import Airflow
    from muster_local import local
    from muster_local.line import WAITING_STATES, Line, LineStopped
    from muster_local.passwords import airflow_login

    with console.status("Waiting for the DAGs") as spinner:

        def on_stage(stage: str, state: str, seconds: float | None) -> None:
            if state == "success":
                console.print(f"  [green]✓[/] {stage:<9} {seconds or 0:6.1f} s")
            elif state == "skipped":
                console.print(f"  [yellow]-[/] {stage:<9} skipped")
            elif state == "failed":
                console.print(f"  [red]✗[/] {stage}")
            else:
                if state in WAITING_STATES.values():  # whoever sees no spinner would not know that it waits for them
                    page = f"{settings.airflow_url}/dags/{workload.name}.{stage}"
                    console.print(f"  [yellow]…[/] {stage:<9} {state}: {page}", soft_wrap=True)
                spinner.update(f"{stage} {state}")

        airflow = Airflow(
            settings.airflow_url,
            airflow_login(settings),
            alive=lambda: local.lives(settings, "airflow-api"),
            on_wait=lambda: on_stage("Airflow", "does not answer yet, though its process lives", None),
        )
        line = Line(airflow, workload.name, on_stage, workload)
        try:
            line.open()
            for partition in partitions:
                console.print(f"{workload.name} {partition}")
                line.run(partition)
        except LineStopped as stopped:
            for text in stopped.log:
                console.print(f"  | {text}", markup=False, soft_wrap=True)
            typer.echo(f"error: {stopped}", err=True)
            raise typer.Exit(1) from None


def _print_addresses(settings: Settings, console: Console) -> None:
    from muster.mlflow.sign_in import mlflow_login
    from muster_local.passwords import airflow_login

    def sign_in(login: Login | None) -> str:
        return f"   sign in as '{login.user}', the password is in {login.file}" if login else ""

    console.print()
    console.print(f"Airflow   {settings.airflow_url}{sign_in(airflow_login(settings))}", soft_wrap=True)
    console.print(f"MLflow    {settings.mlflow_tracking_uri}{sign_in(mlflow_login(settings))}", soft_wrap=True)
    console.print(f"Spark     http://{settings.spark_address}:{settings.spark_ui_port}")
    if settings.exposed:
        console.print("[yellow]Passwords travel unencrypted: put a proxy with TLS before Airflow and MLflow.[/]")
    if settings.spark_exposed:
        console.print("[yellow]Spark has no password: whoever reaches its ports can run anything as this user.[/]")
    console.print("[dim]./muster status shows their state, ./muster down stops them.[/]")


def _exit_when_stopped() -> None:
    """End this command, once, when the user or the system stops it; whoever has something to stop then does so."""
    import signal

    from muster.errors import Stopped

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(stopped_by: int, _: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped(128 + stopped_by)

    for number in signals:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)


@contextmanager
def stopping_what_was_started(settings: Settings, running: set[str], console: Console) -> Iterator[None]:
    """When this command is stopped, stop the services that it started: not those that were `running` before."""
    from muster_local import local

    try:
        yield
    except SystemExit:
        if running:
            console.print("Services that ran before go on, and so do runs in Airflow; ./muster down stops everything.")
        else:
            console.print("Stopping what was started...")
        local.stop(settings, spare=running)
        raise
