"""Fuzz all that reads what others wrote, and tell whether anything broke: `python -m fuzz`."""

import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from fuzz.children import Result, run_target
from fuzz.routes import fuzz_routes
from fuzz.sequences import fuzz_sequences
from fuzz.targets import TARGETS
from service.store import Store
from service.training.dataset import read_dataset
from service.training.hyperparameters import Hyperparameters
from service.training.sample import write_sample
from service.training.trainer import train

ROUTES: Final = "routes"
KEEP_DIR: Final = Path("build") / "fuzz"
"""Where inputs that broke something are kept."""

_SHARES: Final = {
    "json": 3.0, "csv": 3.0, "npy": 3.0, "payload": 4.0, "ways": 1.0, "http": 0.5,
    "headers": 3.0, "runtime": 1.0,
    "archive": 0.2, "manifest": 0.3, "model": 0.2, "hyperparameters": 1.0, "customers": 0.1, "parquet": 0.1,
}  # fmt: skip
"""Of the inputs: those that are run quickly get more."""
_QUICK_INPUTS: Final = 10_000
_QUICK_SECONDS: Final = 12
_QUICK_EXAMPLES: Final = 5
_EXAMPLES_PER_INPUT: Final = 1 / 4000
"""Of each route, for each input in all; one takes milliseconds."""

_console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute: what CI runs.")] = False,
    only: Annotated[
        str, typer.Option(help=f"Targets with commas between: {', '.join([*_SHARES, ROUTES])}.")
    ] = "",
    inputs: Annotated[int, typer.Option(min=100, help="Inputs in all.")] = 1_100_000,
    seconds: Annotated[
        int | None, typer.Option(min=1, help="Most seconds for a target.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=1, help="Of all that is random.")] = 42,
    jobs: Annotated[int, typer.Option(min=1, help="Targets at once.")] = 2,
    replay: Annotated[
        Path | None, typer.Option(help="Run one kept input; --only names its target.", show_default=False)
    ] = None,
) -> None:
    """Fuzz segserve; exit with 1 when anything broke."""
    if replay is not None:
        _console.print("accepted" if TARGETS[only].run(replay.read_bytes()) else "refused")
        return
    names = [name.strip() for name in only.split(",")] if only else ["all"] if quick else list(_SHARES)
    wants_routes = not only or ROUTES in names
    names = [name for name in names if name != ROUTES]
    if unknown := [name for name in names if name not in TARGETS]:
        raise typer.BadParameter(f"there is no target {unknown[0]!r}", param_hint="--only")
    if quick:
        inputs, seconds = _QUICK_INPUTS, _QUICK_SECONDS
    whole = sum(_SHARES.get(name, 1.0) for name in names)

    def run(name: str) -> Result:
        result = run_target(
            name,
            inputs=max(100, int(inputs * _SHARES.get(name, 1.0) / whole)),
            seconds=seconds,
            seed=seed,
            keep_dir=KEEP_DIR,
            seeds=list(TARGETS[name].seeds()),
        )
        _say(result)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(run, names))
    if wants_routes:
        examples = _QUICK_EXAMPLES if quick else max(_QUICK_EXAMPLES, int(inputs * _EXAMPLES_PER_INPUT))
        with tempfile.TemporaryDirectory() as folder:
            store = _store(Path(folder))
            found = fuzz_routes(store, examples=examples, random_seed=seed)
            found.append(fuzz_sequences(store, examples=examples, random_seed=seed))
        for result in found:
            _say(result)
        results += found
    _console.print(_table(results))
    for result in results:
        if result.failure:
            _console.print(f"[red]{result.name}[/] {result.failure}", markup=True, soft_wrap=True)
    if any(result.failure for result in results):
        raise typer.Exit(1)


def _store(folder: Path) -> Path:
    """Return a store with a model of the sample."""
    random.seed(0)
    write_sample(folder / "customers.csv")
    dataset = read_dataset([folder / "customers.csv"], mapping={}, rejects_path=folder / "rejects.csv")
    trained = train(dataset, Hyperparameters(k=4), on_progress=lambda *_: None)
    Store(folder / "models").add(trained.files, provenance=trained.provenance)
    return folder / "models"


def _say(result: Result) -> None:
    print(f"{result.name}: {result.inputs:,} inputs{', BROKEN' if result.failure else ''}", file=sys.stderr)


def _table(results: list[Result]) -> Table:
    table = Table(title="Fuzz")
    table.add_column("target")
    for column in ("inputs", "refused", "accepted", "edges or routes", "peak MiB", "a second", "broken"):
        table.add_column(column, justify="right")
    for row in results:
        table.add_row(
            row.name,
            f"{row.inputs:,}",
            f"{row.refused:,}",
            f"{row.accepted:,}",
            f"{row.covered:,}",
            f"{row.peak_mb:,}",
            f"{row.a_second:,}",
            "yes" if row.failure else "no",
        )
    table.add_section()
    refused, accepted = sum(row.refused for row in results), sum(row.accepted for row in results)
    table.add_row("all", f"{refused + accepted:,}", f"{refused:,}", f"{accepted:,}", "", "", "", "")
    return table


if __name__ == "__main__":
    typer.run(main)
