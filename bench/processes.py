"""Run a Python module in a process of its own, and tell what it took."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from bench.servers import ROOT, environment


@dataclass(frozen=True, slots=True)
class Finished:
    """Hold what a process said and took."""

    output: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Resident at most, in MiB."""


def run_module(*arguments: str) -> Finished:
    """Run `python -m` with these arguments.

    Raises:
        RuntimeError: It failed.
    """
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
    return Finished(text, wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
