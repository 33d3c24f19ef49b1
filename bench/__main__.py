"""Measure serving and training, and tell whether the targets are met: `python -m bench`."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bench import report
from bench.large import LargeResults, run_large
from bench.models import ManyResults, run_many
from bench.serving import ServingBench, ServingResults
from bench.targets import large_targets, many_targets, serving_targets, training_targets
from bench.training import Training, run_trainings, train_sample
from service.load.tools import Tool, find_tool

SIZES: Final = (10_000, 100_000, 300_000, 1_000_000)
MODELS: Final = 10_000
QUICK_MODELS: Final = 200
QUICK_SIZES: Final = (1_000, 2_000, 4_000)
LARGE: Final = 10_000_000
QUICK_LARGE: Final = 1_100_000
"""Just so many that cells are fitted."""
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
    MODELS = "models"
    LARGE = "large"


def main(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="One short round: proves that it runs and that labels agree.")
    ] = False,
    large: Annotated[
        bool,
        typer.Option("--large", help="Also train on 10 million records, beside polars and scikit-learn."),
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
    serving, many = None, None
    with _model_store(store) as served:
        if only in {None, Part.SERVING}:
            serving = _serve(served, client=client, rounds=rounds, quick=quick)
        if only in {None, Part.MODELS}:
            many = _serve_many(served, client=client, rounds=rounds, quick=quick)
    trainings = _train(rounds=rounds, quick=quick) if only in {None, Part.TRAINING} else []
    is_large = large or only is Part.LARGE or (quick and only is None)
    millions = _train_large(rounds=rounds, quick=quick) if is_large else None
    targets = [
        *(serving_targets(serving) if serving else []),
        *(many_targets(many) if many else []),
        *(training_targets(trainings) if trainings else []),
        *(large_targets(millions) if millions else []),
    ]
    if serving:
        _console.print(f"Load generator: {client}", report.load_table(serving), report.process_table(serving))
    if many:
        _console.print(report.many_table(many))
    if trainings:
        _console.print(report.training_table(trainings))
    if millions:
        _console.print(report.large_table(millions))
    _console.print(report.target_table(targets))
    path = report.save(
        client=client, serving=serving, many=many, trainings=trainings, large=millions, targets=targets
    )
    _console.print(f"Raw results: {path}", soft_wrap=True)
    if not quick and not all(target.is_met for target in targets):
        raise typer.Exit(1)


@contextmanager
def _model_store(store: Path | None) -> Iterator[Path]:
    """Provide a store with a model, that of the sample unless another is given."""
    if store is not None:
        yield store.absolute()
        return
    with tempfile.TemporaryDirectory() as folder:
        train_sample(Path(folder), folder=CACHE_DIR)
        yield Path(folder)


def _serve(store: Path, *, client: Tool, rounds: int, quick: bool) -> ServingResults:
    with tempfile.TemporaryDirectory() as folder:
        seconds = QUICK_LOAD_S if quick else LOAD_S
        return ServingBench(Path(folder), store=store, client=client, seconds=seconds, log=_log).run(rounds)


def _serve_many(store: Path, *, client: Tool, rounds: int, quick: bool) -> ManyResults:
    with tempfile.TemporaryDirectory() as folder:
        return run_many(
            Path(folder),
            store=store,
            client=client,
            models=QUICK_MODELS if quick else MODELS,
            rounds=rounds,
            seconds=QUICK_LOAD_S if quick else LOAD_S,
            log=_log,
        )


def _train(*, rounds: int, quick: bool) -> list[Training]:
    return run_trainings(CACHE_DIR, sizes=QUICK_SIZES if quick else SIZES, rounds=rounds, log=_log)


def _train_large(*, rounds: int, quick: bool) -> LargeResults:
    return run_large(CACHE_DIR, records=QUICK_LARGE if quick else LARGE, rounds=rounds, log=_log)


def _log(step: str) -> None:
    _progress.print(step)


if __name__ == "__main__":
    typer.run(main)
