"""Measure training and scoring of millions of records beside what the bare engine and scikit-learn take."""

import json
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import run_module


@dataclass(frozen=True, slots=True)
class Run:
    """Hold what one process took."""

    round: int
    what: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Resident at most, in MiB."""


@dataclass(frozen=True, slots=True)
class LargeResults:
    """Hold the runs of all rounds."""

    records: int
    runs: Sequence[Run]
    inertia_ratios: Sequence[float]
    """Of the records to the model of the cells, as a multiple of scikit-learn's, a fit each."""


GROUP_CSV, GROUP_PARQUET = "GROUP BY, CSV", "GROUP BY, Parquet"
TRAIN_CSV, TRAIN_PARQUET = "segserve train, CSV", "segserve train, Parquet"
SKLEARN_CSV = "scikit-learn, one start, CSV"
SKLEARN = "scikit-learn, one start, Parquet"
SKLEARN_TEN = "scikit-learn, ten starts, Parquet"
"""As segserve fits records, up to a million."""
SCORE, EXPRESSIONS = "segserve score, Parquet", "expressions, Parquet"
MOST_DIFFER = 1e-7
"""Share of the records that polars' division may give another segment."""


def run_large(folder: Path, *, records: int, rounds: int, log: Callable[[str], None]) -> LargeResults:
    """Run everything in turn, each in a process of its own.

    Raises:
        RuntimeError: One of them failed.
    """
    csv, parquet = folder / f"large-{records}.csv", folder / f"large-{records}.parquet"
    if not csv.exists():
        log(f"making {records:,} customers")
        unfinished = csv.with_suffix(".unfinished")
        run_module("bench.yardsticks", "make", str(unfinished), str(parquet), str(records))
        unfinished.rename(csv)
    runs: list[Run] = []
    ratios = []

    def take(what: str, arguments: Sequence[str]) -> str:
        done = run_module(*arguments)
        runs.append(Run(number, what, done.wall_s, done.cpu_s, done.peak_mb))
        return done.output

    for number in range(1, rounds + 1):
        log(f"large, round {number} of {rounds}")
        with tempfile.TemporaryDirectory() as store:
            take(GROUP_CSV, ["bench.yardsticks", "group", str(csv)])
            take(TRAIN_CSV, ["service", "train", str(csv), "--k", "4", "--store", f"{store}/csv"])
            take(GROUP_PARQUET, ["bench.yardsticks", "group", str(parquet)])
            take(TRAIN_PARQUET, ["service", "train", str(parquet), "--k", "4", "--store", f"{store}/parquet"])
            models = [_read_model(Path(store, kind)) for kind in ("csv", "parquet")]
            if models[0] != models[1]:
                raise RuntimeError("CSV and Parquet of the same customers gave different models")
            model = Path(store, "model.json")
            model.write_bytes(models[0])
            ours, theirs = Path(store, "ours.parquet"), Path(store, "theirs.parquet")
            take(EXPRESSIONS, ["bench.yardsticks", "score", str(parquet), str(theirs), str(model)])
            take(SCORE, ["service", "score", str(parquet), "-o", str(ours), "--store", f"{store}/parquet"])
            differ = json.loads(run_module("bench.yardsticks", "compare", str(ours), str(theirs)).output)[
                "differ"
            ]
            if differ > records * MOST_DIFFER:
                raise RuntimeError(f"{differ:,} customers have another segment by polars' expressions")
            for what, source, starts in (
                (SKLEARN_CSV, csv, "1"),
                (SKLEARN, parquet, "1"),
                (SKLEARN_TEN, parquet, "10"),
            ):
                fitted = json.loads(take(what, ["bench.yardsticks", "fit", str(source), str(model), starts]))
                # The comparison of the inertias is no part of it.
                runs[-1] = Run(number, what, fitted["wall_s"], fitted["cpu_s"], fitted["peak_mb"])
                ratios.append(fitted["inertia_ratio"])
    return LargeResults(records, runs, ratios)


def _read_model(store: Path) -> bytes:
    (path,) = store.glob("*/model.tar.gz")
    with tarfile.open(path) as archive:
        member = archive.extractfile("model.json")
        assert member is not None
        return member.read()
