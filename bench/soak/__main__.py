"""Soak a server, and tell whether it bears it: `python -m bench.soak` or `make soak`."""

import json
import os
import platform
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench.servers import HOST, Server, ServerName, running, running_many
from bench.soak.connections import churn, idle
from bench.soak.overload import overload
from bench.soak.steady import Steady, soak
from bench.soak.verdict import Verdict, churn_verdicts, idle_verdicts, overload_verdicts, steady_verdicts
from bench.training import train_sample

MODELS: Final = 5
_OVERLOAD_TIMEOUT_S: Final = 2
"""Shorter than a user's, so that its effect shows within seconds."""

_console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class Part(StrEnum):
    """Name what can be run by itself."""

    STEADY = "steady"
    MODELS = "models"
    OVERLOAD = "overload"
    CHURN = "churn"
    IDLE = "idle"


def main(
    *,
    minutes: Annotated[
        float, typer.Option(min=0.05, help="How long the load lasts, one model and many together.")
    ] = 30.0,
    quick: Annotated[bool, typer.Option("--quick", help="20 s of load, and little of the rest.")] = False,
    only: Annotated[Part | None, typer.Option(help="Run nothing else.", show_default=False)] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the figures here as JSON.", show_default=False)
    ] = None,
) -> None:
    """Soak segserve; exit with 1 when a promise is broken."""
    load_s = 10.0 if quick else minutes * 30
    parts = [only] if only else list(Part)
    verdicts: list[Verdict] = []
    figures: dict[str, Any] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101  # the server is nobody where it is started as root
        train_sample(Path(folder), folder=Path(folder))
        for part in parts:
            Console(stderr=True, highlight=False).print(f"{part} ...")
            found, figures[part] = _run(part, Path(folder), load_s=load_s, quick=quick)
            verdicts += found
    _console.print(_table(verdicts))
    if save:
        save.write_text(f"{json.dumps(figures, indent=1, default=str)}\n")
    if not all(verdict.holds for verdict in verdicts):
        raise typer.Exit(1)


def _run(part: Part, store: Path, *, load_s: float, quick: bool) -> tuple[list[Verdict], dict[str, Any]]:
    with ExitStack() as stack:
        match part:
            case Part.STEADY:
                server = stack.enter_context(running(ServerName.SEGSERVE, store=store))
                steady = _soak(server, ["/invocations"], load_s, quick=quick)
                return steady_verdicts(part, steady, is_long=not quick), steady.summary()
            case Part.MODELS:
                server = stack.enter_context(running_many(workers=2))
                paths = _load_models(server.port, next(store.glob("*/model.tar.gz")))
                steady = _soak(server, paths, load_s, quick=quick)
                return steady_verdicts(part, steady, is_long=not quick), steady.summary()
            case Part.OVERLOAD:
                variables = {"SERVICE_TIMEOUT_S": str(_OVERLOAD_TIMEOUT_S)}
                server = stack.enter_context(running(ServerName.SEGSERVE, store=store, **variables))
                over = uvloop.run(overload(server, seconds=4 if quick else 30))
                return overload_verdicts(over), over.summary()
            case Part.CHURN:
                server = stack.enter_context(running(ServerName.SEGSERVE, store=store))
                churned = uvloop.run(churn(server, seconds=3 if quick else 60))
                return churn_verdicts(churned), asdict(churned)
            case Part.IDLE:
                server = stack.enter_context(running(ServerName.SEGSERVE, store=store))
                held = uvloop.run(idle(server, connections=2_000 if quick else 10_000))
                return idle_verdicts(held), asdict(held)


def _soak(server: Server, paths: Sequence[str], load_s: float, *, quick: bool) -> Steady:
    return uvloop.run(soak(server, paths, seconds=load_s, large_kib=256 if quick else 1024))


def _load_models(port: int, archive: Path) -> list[str]:
    """Load a few models and return the paths under which they are invoked."""
    paths = []
    for number in range(MODELS):
        body = json.dumps({"model_name": f"m{number}", "url": str(archive)}).encode()
        request = urllib.request.Request(f"http://{HOST}:{port}/models", body, method="POST")
        urllib.request.urlopen(request).close()  # our own server
        paths.append(f"/models/m{number}/invoke")
    return paths


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table("what", "promise", "found", "", box=None)
    for verdict in verdicts:
        table.add_row(verdict.part, verdict.promise, verdict.found, "holds" if verdict.holds else "BROKEN")
    return table


if __name__ == "__main__":
    typer.run(main)
