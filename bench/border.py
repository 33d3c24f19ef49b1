"""Find how many customers it takes for Spark to beat one machine: `python -m bench.border` (docs/spark.md).

Needs pyspark, polars and Java: the environment of `make spark-test`. Every run is a process of its own; the
files are made for each size in turn, and removed.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bench.processes import Finished, run_module
from bench.report import RESULTS_DIR
from bench.servers import ROOT, environment
from bench.tenants import machine

PAGE: Final = ROOT / "docs" / "spark.md"
_BEGIN: Final = "<!-- written by python -m bench.border --publish -->\n"
_END: Final = "<!-- until here -->\n"
SIZES: Final = (1_000_000, 10_000_000, 50_000_000)
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


class Format(StrEnum):
    """Name what the customers are in."""

    CSV = "csv"
    PARQUET = "parquet"


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


def main(
    *,
    sizes: Annotated[
        list[int], typer.Option("--sizes", min=1, metavar="N", help="Customers; repeat it for more sizes.")
    ] = list(SIZES),  # noqa: B006  # typer copies it
    formats: Annotated[list[Format], typer.Option("--formats", help="Repeat it for both.")] = list(Format),  # noqa: B006  # as above
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the customers are made; the system's otherwise.", show_default=False),
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write the table that docs/spark.md has.")
    ] = False,
) -> None:
    """Measure, print and write the results."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or a training would be left behind
    where = machine()
    runs = []
    for records in sorted(set(sizes)):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            runs += measure(Path(name), records, formats=formats)
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": where,
        "runs": [asdict(run) for run in runs],
        "border": conclude(runs),
    }
    RESULTS_DIR.mkdir(exist_ok=True)
    (RESULTS_DIR / "border.json").write_text(json.dumps(document, indent=1) + "\n")
    print(render(document))
    if publish:
        PAGE.write_text(replace_table(PAGE.read_text(), render(document)))


def conclude(runs: Sequence[BorderRun]) -> dict[str, str]:
    """Say of each format where the border lies; nothing of one size, which makes no line."""
    found = {}
    for kind in dict.fromkeys(run.format for run in runs):
        by_engine = {
            engine: [run for run in runs if (run.format, run.engine) == (kind, engine)] for engine in _OPTIONS
        }
        if all(len(some) > 1 for some in by_engine.values()):
            lines = {engine: draw_line(some) for engine, some in by_engine.items()}
            found[kind] = explain_border(lines["polars"], lines["spark"])
    return found


def render(document: dict[str, Any]) -> str:
    """Return the measurements as Markdown."""
    rows = [
        f"| {run.records:,} | {run.format} | {run.engine} | {run.wall_s:.1f} | {run.cpu_s:.1f} "
        f"| {run.peak_mb:,.0f} | {run.records / run.wall_s:,.0f} |"
        for run in (BorderRun(**values) for values in document["runs"])
    ]
    return "\n".join(
        [
            f"Measured on {document['date']}, on {document['machine']}:",
            "",
            "| customers | as | engine | seconds | CPU seconds | peak MiB | customers a second |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            *(f"- {kind}: {text}." for kind, text in document["border"].items()),
            *([""] if document["border"] else []),
        ]
    )


def replace_table(page: str, table: str) -> str:
    """Return the page with another table between its marks.

    Raises:
        ValueError: It has no such marks.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page has no place for the table: {_BEGIN.strip()} and {_END.strip()}")
    return f"{before}{begin}\n{table}\n{end}{after}"


def measure(folder: Path, records: int, *, formats: Sequence[Format]) -> list[BorderRun]:
    """Train on so many customers by both engines, and see that the models are the same.

    Raises:
        RuntimeError: A training fails, or the engines disagree.
    """
    paths = {kind: folder / f"customers.{kind}" for kind in Format}
    made = run_module("bench.yardsticks", "make", *map(str, paths.values()), str(records))
    print(f"{records:,} customers made in {made.wall_s:.0f} s", file=sys.stderr)
    runs = []
    digests = set()
    for kind in formats:
        for engine, more in _OPTIONS.items():
            store = folder / f"{kind}-{engine}"
            done = _run(
                "service", "train", str(paths[kind]), "--k", "4", "--json", "--store", str(store), *more
            )
            digests.add(json.loads(done.output)["digest"])
            runs.append(BorderRun(engine, str(kind), records, done.wall_s, done.cpu_s, done.peak_mb))
            print(f"{records:,} {kind} {engine}: {done.wall_s:.1f} s", file=sys.stderr)
    if len(digests) != 1:
        raise RuntimeError(f"the engines gave {len(digests)} models of {records:,} customers")
    return runs


def _run(*arguments: str) -> Finished:
    """Run a module, and tell what its process and all that it started took together."""
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
        return Finished(output.read().decode(), wall_s, sum(cpu.values()), peak_mb)


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
    typer.run(main)
