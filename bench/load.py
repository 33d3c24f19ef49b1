"""Put load on a server from another process: with wrk where it is installed, else with bench.client."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bench.servers import ROOT

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_PATIENCE_S: Final = 30


class Client(StrEnum):
    """Name the load generators."""

    WRK = "wrk"
    PYTHON = "python"
    """About as slow as a good server, which compresses ratios."""


@dataclass(frozen=True, slots=True)
class Load:
    """Hold what the client saw."""

    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float


def find_client() -> Client:
    """Return the best client that is installed."""
    return Client.WRK if shutil.which("wrk") else Client.PYTHON


def put_load(url: str, *, client: Client, body_path: Path, connections: int, seconds: int) -> Load:
    """Post a body over and over on keep-alive connections.

    Raises:
        RuntimeError: A request failed.
    """
    command = (
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "-s", str(_SCRIPT), url, "--", str(body_path)]
        if client is Client.WRK
        else [sys.executable, "-m", "bench.client", url, str(body_path), str(connections), str(seconds)]
    )
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=seconds + _PATIENCE_S
    )
    load = Load(**json.loads(result.stdout.splitlines()[-1]))
    if load.failed or not load.requests:
        raise RuntimeError(f"{load.failed} of {load.requests} requests to {url} failed")
    return load
