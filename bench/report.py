"""Show the measurements as tables and keep them as JSON."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from rich.table import Table

from bench.large import LargeResults
from bench.models import ManyResults
from bench.servers import ServerName
from bench.serving import LOADED, WORKLOADS, ServingResults, Workload
from bench.targets import Target, cpu_ms, load_ratio, requests_per_s
from bench.training import Training
from service.load.tools import Tool

RESULTS_DIR: Final = Path(__file__).parent / "results"


def load_table(results: ServingResults) -> Table:
    """Return a row a payload and server: medians over rounds, and segserve's multiple of each server."""
    table = Table(title="Load on one worker")
    table.add_column("payload")
    table.add_column("server")
    for column in ("requests/s", "records/s", "p50 ms", "p99 ms", "CPU ms", "segserve's: requests/s", "CPU"):
        table.add_column(column, justify="right")
    for workload in WORKLOADS:
        for server in LOADED:
            table.add_row(workload.name, server, *_load_cells(results, workload, server))
    return table


def process_table(results: ServingResults) -> Table:
    """Return a row a server: how long it takes to start, and what it holds after load."""
    table = Table(title="One process")
    table.add_column("server")
    table.add_column("start to first ping, s", justify="right")
    table.add_column("PSS after load, MB", justify="right")
    for server in ServerName:
        start_s = median(start.start_s for start in results.starts if start.server == server)
        memory_mb = results.memory_mb.get(server)
        table.add_row(server, f"{start_s:.2f}", "" if memory_mb is None else f"{memory_mb:.1f}")
    return table


def many_table(results: ManyResults) -> Table:
    """Return what many models in one process cost."""
    table = Table(title=f"{results.models:,} models in one process")
    table.add_column("what")
    table.add_column("measured", justify="right")
    for what, value in (
        ("loads/s", f"{results.loads_per_s:,.0f}"),
        ("CPU ms a load", f"{results.load_cpu_s / results.models * 1e3:.2f}"),
        ("unloads/s", f"{results.unloads_per_s:,.0f}"),
        ("PSS without a model, MB", f"{results.empty_mb:.1f}"),
        ("PSS with all of them, MB", f"{results.full_mb:.1f}"),
        ("KB a model", f"{results.model_kb:.1f}"),
        ("requests/s of a server with one model", f"{results.rate(among=False):,.0f}"),
        ("requests/s of one among them", f"{results.rate(among=True):,.0f}"),
        ("the same as a share", f"{results.rate_ratio:.2f}"),
        ("CPU of a request, one among them to one alone", f"{results.cpu_ratio:.2f}"),
    ):
        table.add_row(what, value)
    return table


def training_table(trainings: Sequence[Training]) -> Table:
    """Return a row a size and k: medians over rounds."""
    table = Table(title="Training")
    for column in ("records", "k", "wall s", "CPU s", "peak MB"):
        table.add_column(column, justify="right")
    for records, k in dict.fromkeys((training.records, training.k) for training in trainings):
        runs = [training for training in trainings if (training.records, training.k) == (records, k)]
        table.add_row(
            f"{records:,}",
            k,
            f"{median(run.wall_s for run in runs):.2f}",
            f"{median(run.cpu_s for run in runs):.2f}",
            f"{median(run.peak_mb for run in runs):.0f}",
        )
    return table


def large_table(results: LargeResults) -> Table:
    """Return a row a process: medians over rounds."""
    table = Table(title=f"Training on {results.records:,} records and scoring them, k=4")
    table.add_column("what")
    for column in ("wall s", "CPU s", "peak MB"):
        table.add_column(column, justify="right")
    for what in dict.fromkeys(run.what for run in results.runs):
        runs = [run for run in results.runs if run.what == what]
        table.add_row(
            what,
            f"{median(run.wall_s for run in runs):.2f}",
            f"{median(run.cpu_s for run in runs):.2f}",
            f"{median(run.peak_mb for run in runs):.0f}",
        )
    table.add_row("inertia: x scikit-learn's", f"{median(results.inertia_ratios):.7f}")
    return table


def target_table(targets: Iterable[Target]) -> Table:
    """Return a row a target."""
    table = Table(title="Targets")
    table.add_column("target")
    table.add_column("measured", justify="right")
    table.add_column("promised", justify="right")
    table.add_column("")
    for target in targets:
        promised = f"{'>=' if target.is_floor else '<='} {target.limit:g}"
        table.add_row(target.name, f"{target.measured:.2f}", promised, "met" if target.is_met else "MISSED")
    return table


def save(
    *,
    client: Tool,
    serving: ServingResults | None,
    many: ManyResults | None,
    trainings: Sequence[Training],
    large: LargeResults | None,
    targets: Sequence[Target],
) -> Path:
    """Write everything that was measured and return the file's path."""
    now = datetime.now(UTC)
    document = {
        "created": now.isoformat(timespec="seconds"),
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count(), "load": os.getloadavg()},
        "python": platform.python_version(),
        "client": client,
        "serving": asdict(serving) if serving else None,
        "many_models": asdict(many) if many else None,
        "training": [asdict(training) for training in trainings],
        "large": asdict(large) if large else None,
        "targets": [{**asdict(target), "is_met": target.is_met} for target in targets],
    }
    RESULTS_DIR.mkdir(exist_ok=True)
    path = RESULTS_DIR / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(f"{json.dumps(document, indent=1)}\n")
    return path


def _load_cells(results: ServingResults, workload: Workload, server: ServerName) -> list[str]:
    samples = [one for one in results.samples if (one.workload, one.server) == (workload.name, server)]
    rate = median(requests_per_s(sample) for sample in samples)
    return [
        f"{rate:,.0f}",
        f"{rate * workload.records:,.0f}",
        f"{median(sample.load.p50_ms for sample in samples):.2f}",
        f"{median(sample.load.p99_ms for sample in samples):.2f}",
        f"{median(cpu_ms(sample) for sample in samples):.3f}",
        f"x {load_ratio(results, workload, to=server, value=requests_per_s):.2f}",
        f"x {load_ratio(results, workload, to=server, value=cpu_ms):.2f}",
    ]
