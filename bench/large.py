"""Measure training on millions of records beside the bare GROUP BY, and scikit-learn on all of them."""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.servers import ROOT, environment


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
    """Of the records to the model of the cells, as a multiple of scikit-learn's, a round each."""


GROUP_CSV, GROUP_PARQUET = "GROUP BY, CSV", "GROUP BY, Parquet"
TRAIN_CSV, TRAIN_PARQUET = "segserve train, CSV", "segserve train, Parquet"
SKLEARN = "scikit-learn, Parquet"


def run_large(folder: Path, *, records: int, rounds: int, log: Callable[[str], None]) -> LargeResults:
    """Run everything in turn, each in a process of its own.

    Raises:
        RuntimeError: One of them failed.
    """
    csv, parquet = folder / f"large-{records}.csv", folder / f"large-{records}.parquet"
    if not csv.exists():
        log(f"making {records:,} customers")
        unfinished = csv.with_suffix(".unfinished")
        _run(["bench.yardsticks", "make", str(unfinished), str(parquet), str(records)])
        unfinished.rename(csv)
    runs: list[Run] = []
    ratios = []

    def take(what: str, arguments: Sequence[str]) -> str:
        output, wall_s, cpu_s, peak_mb = _run(arguments)
        runs.append(Run(number, what, wall_s, cpu_s, peak_mb))
        return output

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
            fitted = json.loads(take(SKLEARN, ["bench.yardsticks", "fit", str(parquet), str(model)]))
        # The comparison of the inertias is no part of it.
        runs[-1] = Run(number, SKLEARN, fitted["wall_s"], fitted["cpu_s"], fitted["peak_mb"])
        ratios.append(fitted["inertia_ratio"])
    return LargeResults(records, runs, ratios)


def _read_model(store: Path) -> bytes:
    (path,) = store.glob("*/model.tar.gz")
    with tarfile.open(path) as archive:
        member = archive.extractfile("model.json")
        assert member is not None
        return member.read()


def _run(arguments: Sequence[str]) -> tuple[str, float, float, float]:
    """Return the output, wall and CPU seconds and peak memory of a Python module's run."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=environment(), stdout=output, stderr=output
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            process.kill()  # does nothing once the process is known to have ended
        wall_s = time.perf_counter() - started
        output.seek(0)
        text = output.read().decode()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {text[-2000:]}")
    return text, wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
