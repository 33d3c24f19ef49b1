"""Measure what more records in a request cost: `python -m bench.batching`."""

import json
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import typer

from bench.servers import Server, ServerName, running
from bench.tenants import machine, update_published
from bench.training import train_sample
from service.load.payload import make_payload
from service.load.tools import find_tool, put_load

RECORDS: Final = (1, 10, 100, 1_000, 10_000)
_CONNECTIONS: Final = 4


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Of which the median counts.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="Length of a round.")] = 3,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write the figures that docs/capacity.md has.")
    ] = False,
) -> None:
    """Measure the CPU time of a request by its records, and print it as JSON.

    CPU time, since it does not depend on what else the machine does; sizes take turns.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or a server would be left behind
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "store").mkdir()
        train_sample(folder / "store", folder=folder)
        found: dict[int, list[float]] = {records: [] for records in RECORDS}
        with running(ServerName.SEGSERVE, store=folder / "store") as server:
            for number in range(rounds):
                for records in RECORDS if number % 2 else reversed(RECORDS):
                    found[records].append(_cpu_ms(server, folder, records=records, seconds=seconds))
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": f"python -m bench.batching --rounds {rounds} --seconds {seconds}",
        "machine": where,
        "cpu_ms": {str(records): round(median(values), 5) for records, values in found.items()},
    }
    print(json.dumps(document, indent=2))
    if publish:
        update_published("batching", document)


def _cpu_ms(server: Server, folder: Path, *, records: int, seconds: int) -> float:
    """Return the server's CPU time for a request."""
    body_path = folder / f"{records}.json"
    body_path.write_bytes(make_payload(records))
    before_s = server.cpu_s()
    load = put_load(
        server.url("/invocations"),
        tool=find_tool(),
        body_path=body_path,
        content_type="application/json",
        connections=_CONNECTIONS,
        seconds=seconds,
    )
    if load.failed:
        raise RuntimeError(f"{load.failed} of {load.requests} requests failed")
    return (server.cpu_s() - before_s) / load.requests * 1e3


if __name__ == "__main__":
    typer.run(main)
