"""Compare segserve with what users would pick instead: `python -m bench.peers load`, `conform` or `page`."""

import os
import platform
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from bench.peers import conform as conforming
from bench.peers.comparison import Comparison, Plan
from bench.peers.contenders import CONTENDERS, Contender, Kind
from bench.peers.environments import CACHE_DIR
from bench.peers.model import make_model
from bench.peers.page import PUBLISHED, write_page
from bench.peers.results import Results
from bench.peers.targets import judge
from bench.peers.workloads import FREE, PINNED, QUICK_FREE, QUICK_PINNED
from bench.report import RESULTS_DIR

PROGRAMS: Final = ("wrk", "taskset")
QUICK: Final = ("segserve", "fastapi", "inference-server", "hello", "nginx", "copy", "fastapi-hello")
ROUNDS: Final = 5
MINUTES: Final = 17.0
QUICK_MINUTES: Final = 1.5
PING_S: Final = 8
QUICK_PING_S: Final = 5

app = typer.Typer(help="Compare segserve with what users would pick instead.", no_args_is_help=True)
_console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
_progress = Console(stderr=True, highlight=False)


@app.command()
def load(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One short round with a few cheap peers.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds to take the median of.")] = ROUNDS,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each stretch of load.")] = 1.0,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="Begin no further round that would end later; one is always made.")
    ] = MINUTES,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Measure these peers, and segserve and the ceilings.", show_default=False),
    ] = None,
    cache: Annotated[Path, typer.Option(help="Where the environments are kept.")] = CACHE_DIR,
    publish: Annotated[
        bool, typer.Option("--publish", help="Make these the figures of docs/peers-load.md.")
    ] = False,
) -> None:
    """Measure all servers under load, and tell which targets are reached; exit with 1 when one is missed."""
    # Without this a SIGTERM would leave the servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise typer.BadParameter(f"{program} is not installed, and nothing can be measured without it")
    plan = Plan(
        contenders=_chosen(QUICK if quick and not only else only),
        pinned=QUICK_PINNED if quick else PINNED,
        free=QUICK_FREE if quick else FREE,
        rounds=1 if quick else rounds,
        seconds=seconds,
        minutes=QUICK_MINUTES if quick else minutes,
        has_readers=not quick,
        ping_s=QUICK_PING_S if quick else PING_S,
    )
    now = datetime.now(UTC)
    results = Results(now.isoformat(timespec="seconds"), _machine(), seconds)
    path = PUBLISHED if publish else RESULTS_DIR / f"peers-{now:%Y%m%dT%H%M%SZ}.json"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        comparison = Comparison(
            folder, model=make_model(folder), plan=plan, results=results, cache=cache, log=_progress.print
        )
        try:
            comparison.run()
        finally:
            results.save(path)
    _console.print(_target_table(results))
    _console.print(f"Raw results: {path}", soft_wrap=True)
    if publish:
        write_page(path)
    if not quick and any(target.measured is None or target.is_missed for target in judge(results)):
        raise typer.Exit(1)


@app.command()
def page(
    results: Annotated[
        Path, typer.Argument(help="Raw results of a run.", exists=True, dir_okay=False)
    ] = PUBLISHED,
) -> None:
    """Write docs/peers-load.md and its plots from raw results."""
    write_page(results)


@app.command()
def conform(
    folder: Annotated[Path, typer.Argument(help="Keeps environments, logs and verdicts.")],
    names: Annotated[list[str] | None, typer.Argument(help="All when empty.", show_default=False)] = None,
) -> None:
    """Hold the servers of docs/peers.md against the contract, and print their table."""
    conforming.main(folder, names or [])


def _chosen(names: list[str] | tuple[str, ...] | None) -> list[Contender]:
    known = {contender.name for contender in CONTENDERS}
    unknown = sorted(set(names or ()) - known)
    if unknown:
        raise typer.BadParameter(f"there is no {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [
        contender
        for contender in CONTENDERS
        if not names or contender.kind is not Kind.PEER or contender.name in names
    ]


def _machine() -> dict[str, object]:
    return {
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
    }


def _target_table(results: Results) -> Table:
    table = Table(title="Targets")
    for column in ("target", "measured", "floor", "goal", ""):
        table.add_column(column)
    for target in judge(results):
        table.add_row(target.name, target.shown, target.floor_text, target.goal_text, target.verdict)
    return table


if __name__ == "__main__":
    app()
