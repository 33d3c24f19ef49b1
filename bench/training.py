"""Measure training from the command line: time, CPU and peak memory, by the number of records."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import run_module
from bench.servers import ROOT, environment


@dataclass(frozen=True, slots=True)
class Training:
    """Hold one training run."""

    round: int
    records: int
    k: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Resident at most, in MiB; not under what this process itself holds (about 40)."""


def run_trainings(
    folder: Path, *, sizes: Sequence[int], rounds: int, log: Callable[[str], None]
) -> list[Training]:
    """Train on every size with k=4, and on the largest with k=auto, in rounds."""
    paths = {size: make_customers(folder, n=size) for size in sizes}
    runs = [(size, "4") for size in sizes] + [(max(sizes), "auto")]
    trainings = []
    for number in range(1, rounds + 1):
        log(f"training, round {number} of {rounds}")
        trainings += [train(paths[size], round_=number, records=size, k=k) for size, k in runs]
    return trainings


def train(path: Path, *, round_: int, records: int, k: str) -> Training:
    """Train once, in a process of its own and into a store that is thrown away.

    Raises:
        RuntimeError: Training failed.
    """
    with tempfile.TemporaryDirectory() as store:
        done = run_module("service", "train", str(path), "--k", k, "--store", store)
    return Training(round_, records, k, wall_s=done.wall_s, cpu_s=done.cpu_s, peak_mb=done.peak_mb)


def train_sample(store: Path, *, folder: Path) -> None:
    """Put a model of the bundled sample into a store."""
    sample = make_customers(folder, n=1000)
    _segserve("train", str(sample), "--k", "4", "--store", str(store))


def make_customers(folder: Path, *, n: int) -> Path:
    """Return a CSV file of made-up customers, made once."""
    path = folder / f"customers-{n}.csv"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        _segserve("sample-data", "--n", str(n), "--output", str(unfinished))
        unfinished.rename(path)
    return path


def _segserve(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
