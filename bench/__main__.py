"""Measure serving and training, and tell whether the targets are met: `python -m bench`."""

import signal
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bench import report
from bench.serving import ServingBench, ServingResults
from bench.targets import serving_targets, training_targets
from bench.training import Training, run_trainings, train_sample
from service.load.tools import Tool, find_tool

SIZES: Final = (10_000, 100_000, 300_000, 1_000_000)
QUICK_SIZES: Final = (1_000, 2_000, 4_000)
LOAD_S: Final = 3
QUICK_LOAD_S: Final = 1
CACHE_DIR: Final = Path(tempfile.gettempdir()) / "segserve-bench"
"""Keeps the customer files, which take longer to make than to read."""

_console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
_progress = Console(stderr=True, highlight=False)


class Part(StrEnum):
    """Name what can be measured by itself."""

    SERVING = "serving"
    TRAINING = "training"


def main(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="One short round: proves that it runs and that labels agree.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds to take the median of.")] = 5,
    only: Annotated[Part | None, typer.Option(help="Measure nothing else.", show_default=False)] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Serve the latest model of this store. Default: one of the sample.", show_default=False
        ),
    ] = None,
) -> None:
    """Measure segserve; exit with 1 when a full run misses a target."""
    # Without this a SIGTERM would leave the servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rounds = 1 if quick else rounds
    client = find_tool()
    CACHE_DIR.mkdir(exist_ok=True)
    serving = _serve(store, client=client, rounds=rounds, quick=quick) if only != Part.TRAINING else None
    trainings = _train(rounds=rounds, quick=quick) if only != Part.SERVING else []
    targets = [
        *(serving_targets(serving) if serving else []),
        *(training_targets(trainings) if trainings else []),
    ]
    if serving:
        _console.print(f"Load generator: {client}", report.load_table(serving), report.process_table(serving))
    if trainings:
        _console.print(report.training_table(trainings))
    _console.print(report.target_table(targets))
    path = report.save(client=client, serving=serving, trainings=trainings, targets=targets)
    _console.print(f"Raw results: {path}", soft_wrap=True)
    if not quick and not all(target.is_met for target in targets):
        raise typer.Exit(1)


def _serve(store: Path | None, *, client: Tool, rounds: int, quick: bool) -> ServingResults:
    with tempfile.TemporaryDirectory() as folder:
        if store is None:
            store = Path(folder) / "models"
            train_sample(store, folder=CACHE_DIR)
        seconds = QUICK_LOAD_S if quick else LOAD_S
        bench = ServingBench(Path(folder), store=store.absolute(), client=client, seconds=seconds, log=_log)
        return bench.run(rounds)


def _train(*, rounds: int, quick: bool) -> list[Training]:
    return run_trainings(CACHE_DIR, sizes=QUICK_SIZES if quick else SIZES, rounds=rounds, log=_log)


def _log(step: str) -> None:
    _progress.print(step)


if __name__ == "__main__":
    typer.run(main)
