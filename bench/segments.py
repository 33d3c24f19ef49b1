"""Measure how many customers keep their id, and what choosing k costs: `python -m bench.segments`."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from service.features import spending_powers
from service.training.alignment import fit_aligned
from service.training.candidates import sweep
from service.training.dataset import Dataset, read_dataset
from service.training.fit import fit_pipeline
from service.training.hyperparameters import Hyperparameters
from service.training.lineage import Previous
from service.training.sample import sample_customers
from service.training.selection import choose
from service.training.trainer import train
from service.transform import Transform

SEED: Final = 42
SIZES: Final = (50_001, 100_000, 1_000_000)
ROUNDS: Final = 3

Vectors = npt.NDArray[np.float64]

app = typer.Typer(help="Measure what docs/segments.md tells.", no_args_is_help=True)
_console = Console(highlight=False)


@app.command()
def kept(
    path: Annotated[Path, typer.Argument(help="A file of customers.")],
    *,
    column: Annotated[
        list[str] | None, typer.Option("--map", help="Column of the file, as of segserve train.")
    ] = None,
    retrains: Annotated[int, typer.Option(min=1, help="Bootstrap samples to train again on.")] = 30,
) -> None:
    """Retrain on customers drawn with repetition, and count who of all keeps the id."""
    mapping = dict(one.split("=", 1) for one in column or [])
    with tempfile.TemporaryDirectory() as folder:
        dataset = read_dataset([path], mapping=mapping, rejects_path=Path(folder, "rejects.csv"))
    table = Table("transform", "k", "mean", "worst", "ways")
    for transform in Transform:
        for k in (None, 4):
            shares, ways = _retrain(dataset, Hyperparameters(k=k, transform=transform), retrains=retrains)
            told = ", ".join(f"{ways.count(way)} {way}" for way in sorted(set(ways)))
            table.add_row(
                transform.value, str(k or "auto"), f"{np.mean(shares):.3f}", f"{min(shares):.3f}", told
            )
    _console.print(table)


@app.command("sweep")
def measure_sweep(
    sizes: Annotated[
        list[int] | None, typer.Argument(help="Numbers of customers.", show_default=False)
    ] = None,
) -> None:
    """Compare the CPU time of the sweep with that of the fit of the k it chooses."""
    table = Table("customers", "transform", "k", "sweep, CPU s", "fit, CPU s", "ratio")
    for n in sizes or SIZES:
        rows = np.array([row[1:4] for row in sample_customers(n)], dtype=np.float64)
        vectors = _ordered(np.column_stack([rows[:, 0], spending_powers(rows[:, 1], rows[:, 2])]))
        for transform in Transform:
            k, sweep_s, fit_s = _time(vectors, transform)
            table.add_row(
                f"{n:,}",
                transform.value,
                str(k),
                f"{sweep_s:.2f}",
                f"{fit_s:.2f}",
                f"{sweep_s / fit_s:.2f}",
            )
    _console.print(table)


def _retrain(
    dataset: Dataset, hyperparameters: Hyperparameters, *, retrains: int
) -> tuple[list[float], list[str]]:
    """Return the share of all customers who keep their id, and the method, for each retrain."""
    model = train(dataset, hyperparameters, on_progress=lambda *_: None).model
    previous = Previous("v1", model, next_id=len(model.ids))
    vectors = np.column_stack([dataset.ages, spending_powers(dataset.incomes, dataset.purchases)])
    before = model.label(vectors)
    transform, shares, ways = hyperparameters.transform, [], []
    for number in range(retrains):
        positions = np.random.default_rng(number).integers(0, len(vectors), len(vectors))
        drawn = _ordered(vectors[positions])
        k = hyperparameters.k or _choose(drawn, transform, previous=len(model.ids))
        aligned = fit_aligned(drawn, k=k, transform=transform, seed=SEED, previous=previous)
        after = np.array(aligned.ids)[aligned.fit.partition.assign(vectors)]
        shares.append(float((before == after).mean()))
        ways.append(aligned.lineage.method.value)
    return shares, ways


def _time(vectors: Vectors, transform: Transform) -> tuple[int, float, float]:
    """Return the chosen k and the median CPU seconds of the sweep and of the fit."""
    k = _choose(vectors, transform)
    sweeps = [_cpu_s(lambda: _choose(vectors, transform)) for _ in range(ROUNDS)]
    fits = [_cpu_s(lambda: fit_pipeline(vectors, k=k, transform=transform, seed=SEED)) for _ in range(ROUNDS)]
    return k, median(sweeps), median(fits)


def _choose(vectors: Vectors, transform: Transform, *, previous: int | None = None) -> int:
    found = sweep(vectors, transform=transform, seed=SEED, on_progress=lambda *_: None)
    return choose(found, previous=previous).k


def _cpu_s(run: Callable[[], Any]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def _ordered(vectors: Vectors) -> Vectors:
    return vectors[np.lexsort((vectors[:, 1], vectors[:, 0]))]


if __name__ == "__main__":
    app()
