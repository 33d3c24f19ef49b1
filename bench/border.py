"""Find how many customers it takes for Spark to beat one machine: `python -m bench.border` (docs/spark.md).

Needs pyspark, polars and Java: the environment of `make spark-test`. Every run is a process of its own; the
files are made for each size in turn, and removed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.servers import ROOT, environment

SIZES: Final = (1_000_000, 10_000_000)
_POLL_S: Final = 0.1
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SETTINGS: Final = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
_OPTIONS: Final = {
    "polars": [],
    "spark": [
        "--engine",
        "spark",
        *(part for key, value in _SETTINGS.items() for part in ("--spark-conf", f"{key}={value}")),
    ],
}


@dataclass(frozen=True, slots=True)
class BorderRun:
    """Hold what one training took."""

    engine: str
    format: str
    records: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Resident, of all its processes together, in MiB."""


@dataclass(frozen=True, slots=True)
class Line:
    """Hold seconds as a straight line of records."""

    start_s: float
    per_record_s: float


def draw_line(runs: Sequence[BorderRun]) -> Line:
    """Return the line through the smallest and the largest run."""
    first, last = min(runs, key=lambda run: run.records), max(runs, key=lambda run: run.records)
    slope = (last.wall_s - first.wall_s) / (last.records - first.records)
    return Line(first.wall_s - slope * first.records, slope)


def explain_border(local: Line, spark: Line) -> str:
    """Say from how many records on Spark is faster, or that it never is on this machine."""
    if spark.per_record_s < local.per_record_s:
        border = (spark.start_s - local.start_s) / (local.per_record_s - spark.per_record_s)
        return f"Spark is faster from {max(border, 0):,.0f} records on (extrapolated)"
    times = spark.per_record_s / max(local.per_record_s, 1e-12)
    return (
        f"no crossing on this machine: each record takes Spark {times:.1f} times as long; if it scaled "
        f"perfectly, {times:.1f} such machines would keep up with one that runs polars"
    )


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--formats", nargs="+", choices=("csv", "parquet"), default=("csv", "parquet"))
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "border.json")
    parser.add_argument("--folder", type=Path, help="where the customers are made; the system's otherwise")
    options = parser.parse_args()
    if len(set(options.sizes)) < 2:
        parser.error("--sizes needs two sizes at least: the border is read off a line")
    runs = []
    for records in sorted(set(options.sizes)):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            runs += _measure(Path(folder), records, options.formats)
    conclusions = {}
    for kind in options.formats:
        local, spark = (
            draw_line([run for run in runs if (run.format, run.engine) == (kind, engine)])
            for engine in ("polars", "spark")
        )
        conclusions[kind] = explain_border(local, spark)
        print(f"{kind}: {conclusions[kind]}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    document = {"cpus": os.cpu_count(), "runs": [asdict(run) for run in runs], "border": conclusions}
    options.output.write_text(json.dumps(document, indent=1) + "\n")


def _measure(folder: Path, records: int, formats: Sequence[str]) -> list[BorderRun]:
    """Train on so many customers by both engines, and see that the models are the same.

    Raises:
        RuntimeError: A training fails, or the engines disagree.
    """
    paths = {kind: folder / f"customers.{kind}" for kind in ("csv", "parquet")}
    subprocess.run(
        [sys.executable, "-m", "bench.yardsticks", "make", paths["csv"], paths["parquet"], str(records)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    runs = []
    digests = set()
    for kind in formats:
        for engine, more in _OPTIONS.items():
            store = folder / f"{kind}-{engine}"
            command = [
                "service",
                "train",
                str(paths[kind]),
                "--k",
                "4",
                "--json",
                "--store",
                str(store),
                *more,
            ]
            text, wall_s, cpu_s, peak_mb = _run([*command, *more])
            digests.add(json.loads(text)["digest"])
            runs.append(BorderRun(engine, kind, records, wall_s, cpu_s, peak_mb))
            rate = records / wall_s
            print(
                f"{records:>12,} {kind:8}{engine:8}{wall_s:8.1f} s{cpu_s:8.1f} CPU s{peak_mb:8.0f} MiB"
                f"{rate:12,.0f} records/s",
                flush=True,
            )
    if len(digests) != 1:
        raise RuntimeError(f"the engines gave {len(digests)} models of {records:,} customers")
    return runs


def _run(arguments: Sequence[str]) -> tuple[str, float, float, float]:
    """Return the output, wall and CPU seconds, and the peak memory of a module's process and its children."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=environment(), stdout=output, stderr=error
        )
        peak_mb = 0.0
        cpu: dict[int, float] = {}
        try:
            while process.poll() is None:
                family = list_family(process.pid)
                peak_mb = max(peak_mb, sum(memory for memory, _ in family.values()) / 2**20)
                cpu |= {pid: cpu_s for pid, (_, cpu_s) in family.items()}
                time.sleep(_POLL_S)
        finally:
            process.kill()  # does nothing once the process is known to have ended
        wall_s = time.perf_counter() - started
        output.seek(0)
        error.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed: {error.read().decode()[-2000:]}")
        return output.read().decode(), wall_s, sum(cpu.values()), peak_mb


def list_family(root: int) -> dict[int, tuple[int, float]]:
    """Return bytes resident and CPU seconds of a process and of all that it started.

    Source: proc_pid_stat(5).
    """
    found: dict[int, tuple[int, int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
        found[int(path.parent.name)] = (int(fields[1]), int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), cpu_s)
    family = {root} & set(found)
    while more := {pid for pid, (parent, _, _) in found.items() if parent in family} - family:
        family |= more
    return {pid: found[pid][1:] for pid in family}


if __name__ == "__main__":
    main()
