"""Put load on a server from another process: with wrk or hey where one is installed, else with our client."""

import csv
import io
import json
import shutil
import subprocess
from enum import StrEnum
from pathlib import Path
from typing import Final, assert_never

from service.errors import LoadError
from service.load.client import put_load_by_client
from service.load.result import Load, percentiles

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_PATIENCE_S: Final = 60


class Tool(StrEnum):
    """Name the load generators, the best first."""

    WRK = "wrk"
    HEY = "hey"
    PYTHON = "python"
    """Ours."""


def find_tool() -> Tool:
    """Return the best load generator that is installed."""
    return next((tool for tool in (Tool.WRK, Tool.HEY) if shutil.which(tool)), Tool.PYTHON)


def put_load(
    url: str, *, tool: Tool, body_path: Path, content_type: str, connections: int, seconds: int
) -> Load:
    """Post a file's content over and over on keep-alive connections.

    Raises:
        LoadError: The tool is not installed or fails, or no request was answered.
    """
    match tool:
        case Tool.PYTHON:
            load = put_load_by_client(
                url,
                body=body_path.read_bytes(),
                content_type=content_type,
                connections=connections,
                seconds=seconds,
            )
        case Tool.WRK:
            script = ["-s", str(_SCRIPT), url, "--", str(body_path), content_type]
            options = ["-t1", f"-c{connections}", f"-d{seconds}", f"--timeout={_PATIENCE_S}"]
            load = _read_wrk(_run(["wrk", *options, *script], seconds=seconds))
        case Tool.HEY:
            how_long = ["-z", f"{seconds}s", "-c", str(connections), "-t", str(_PATIENCE_S), "-o", "csv"]
            what = ["-m", "POST", "-T", content_type, "-D", str(body_path), url]
            load = _read_hey(_run(["hey", *how_long, *what], seconds=seconds), seconds=seconds)
        case _:
            assert_never(tool)
    if not load.requests:
        raise LoadError(f"{url} answered no request within {seconds} s")
    return load


def _run(command: list[str], *, seconds: int) -> str:
    try:
        result = subprocess.run(  # noqa: S603  # a fixed program, and no shell
            command, capture_output=True, text=True, check=False, timeout=seconds + 2 * _PATIENCE_S
        )
    except OSError as exc:
        raise LoadError(f"{command[0]} cannot be run: {exc.strerror}") from None
    except subprocess.TimeoutExpired:
        raise LoadError(f"{command[0]} did not end {2 * _PATIENCE_S} s after it should have") from None
    if result.returncode != 0:
        raise LoadError(f"{command[0]} failed: {(result.stderr or result.stdout).strip()[-300:]}")
    return result.stdout


def _read_wrk(output: str) -> Load:
    document = json.loads(output.splitlines()[-1])
    latencies_ms = {float(percentage): value for percentage, value in document["latencies_ms"].items()}
    return Load(document["requests"], document["seconds"], document["failed"], latencies_ms)


def _read_hey(output: str, *, seconds: int) -> Load:
    """Read a line for each answered request; hey tells of none without an answer there."""
    rows = list(csv.DictReader(io.StringIO(output)))
    took_s = [float(row["response-time"]) for row in rows]
    ends_s = [float(row["offset"]) + took for row, took in zip(rows, took_s, strict=True)]
    return Load(
        requests=len(rows),
        seconds=max([*ends_s, seconds]),
        failed=sum(row["status-code"] != "200" for row in rows),
        latencies_ms=percentiles([took * 1e3 for took in took_s]) if rows else {},
    )
