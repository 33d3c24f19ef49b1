"""Time what well-kept libraries take to read a CSV file into numbers, as a server does, too."""

import json
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from bench.peers.environments import UnavailableError, build
from bench.peers.results import Reading
from bench.peers.starting import APPS_DIR

READERS: Final = ("polars", "pyarrow", "pandas")
_PATIENCE_S: Final = 120


def read_csv(
    number: int, body_path: Path, *, cache: Path, cores: Collection[int], skip: Callable[[str, str], None]
) -> list[Reading]:
    """Return one reading by each library, each in a process of its own."""
    try:
        programs = build("readers", cache=cache)
    except UnavailableError as exc:
        skip("CSV readers", str(exc))
        return []
    readings = []
    for reader in READERS:
        done = subprocess.run(
            [
                *("taskset", "--cpu-list", ",".join(map(str, cores))),
                *(programs / "python", APPS_DIR / "read_csv.py", reader, body_path),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
        )
        if done.returncode:
            skip(f"reading CSV with {reader}", done.stderr.strip()[-300:])
            continue
        readings.append(Reading(number, reader, **json.loads(done.stdout)))
    return readings
