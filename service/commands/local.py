"""Run a SageMaker on this machine: `segserve local`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.options import JsonOption
from service.errors import MissingExtraError, ServiceError

if TYPE_CHECKING:
    from service.local.state import Running, State

app = typer.Typer(help="Run a SageMaker on this machine, for boto3, AWS CLI and SDK.", no_args_is_help=True)

StateOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Folder of all that it keeps. Default: .segserve/local", show_default=False
    ),
]


class Runtime(StrEnum):
    """Name what starts for an image; as service.local.server has it, which is not loaded for help."""

    DOCKER = "docker"
    PROCESS = "process"


@app.command("up")
def up(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback, 0 for a free one.")] = 9300,
    runtime: Annotated[
        Runtime, typer.Option(help="Start images with Docker, or the installed package as a process.")
    ] = Runtime.DOCKER,
    state: StateOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background.")] = False,
) -> None:
    """Start it, with all that was in service before."""
    found = _state(state)
    _load()
    from service.local import background

    if detach:
        found.lock()  # says so at once when it is running already
        found.unlock()
        _announce(background.start(found, port=port, runtime=runtime.value).url)
        return
    from service.local.server import RuntimeName, serve
    from service.logs import configure_logging

    configure_logging("info")
    serve(found, port=port, runtime=RuntimeName(runtime.value), on_ready=_announce)


@app.command("down")
def down(*, state: StateOption = None) -> None:
    """Stop it and all that it has started; what it keeps remains."""
    found = _state(state)
    _load()
    from service.local import background

    last_known = found.last_known()
    stopped = background.stop(
        found, on_insist=lambda: typer.echo("It does not end by itself: killing it", err=True)
    )
    if last_known is not None and last_known.runtime == Runtime.DOCKER:
        from service.local.containers import remove_left_behind

        remove_left_behind(found.owner())
    typer.echo(f"Stopped, it was on {stopped.url}" if stopped else "segserve local is not running")


@app.command("env")
def env(*, state: StateOption = None) -> None:
    """Print what makes AWS's tools use it: eval "$(segserve local env)"."""
    running = _running(_state(state))
    _load()
    from service.local.environment import client_variables

    for name, value in client_variables(running.url).items():
        typer.echo(f"export {name}={value}")


@app.command("status")
def status(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show where it runs, and its endpoints and jobs."""
    found = _state(state)
    running = _running(found)
    document = _ask(running)
    from dataclasses import asdict

    from rich.table import Table

    from service.commands.output import console, print_json

    if as_json:
        print_json({**asdict(running), "state": str(found.root), **document})
        return
    typer.echo(
        f"Running on {running.url} (process {running.pid}, runtime {running.runtime}) since {running.started}"
    )
    typer.echo(f"State in {found.root}")
    if not document["resources"]:
        typer.echo("Nothing has been created yet")
        return
    table = Table(box=None)
    for name in ("kind", "name", "region", "status", ""):
        table.add_column(name)
    for entry in document["resources"]:
        table.add_row(
            entry["kind"], entry["name"], entry["region"], entry["status"] or "", entry["reason"] or ""
        )
    console().print(table)


def _state(given: str | None) -> "State":
    from pathlib import Path

    from service.local.state import DEFAULT_STATE, State

    return State(Path(given or DEFAULT_STATE))


def _load() -> None:
    try:
        from service.local import containers, server  # noqa: F401  # need all of the extra
    except ModuleNotFoundError as exc:
        raise MissingExtraError("local", extra="aws", package=exc.name or "a package") from exc


def _running(state: "State") -> "Running":
    running = state.running()
    if running is None:
        raise ServiceError(
            f"segserve local is not running (state {state.root}): start it with 'segserve local up'"
        )
    return running


def _ask(running: "Running") -> Any:
    import json
    import urllib.request

    try:
        with urllib.request.urlopen(f"{running.url}/status", timeout=10) as answer:  # noqa: S310  # our own URL
            return json.load(answer)
    except OSError as exc:
        raise ServiceError(f"segserve local does not answer on {running.url}: {exc}") from exc


def _announce(url: str) -> None:
    typer.echo(f"Ready on {url}")
    typer.echo('Try: eval "$(segserve local env)"; aws sagemaker list-endpoints', err=True)
