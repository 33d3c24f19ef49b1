"""Run targets in processes of their own, and read what libFuzzer says of them."""

import mmap
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.guided import COUNTS

INPUT_S: Final = 5
"""One input may take; more is a hang."""
RSS_MB: Final = 1024
"""A target may take."""

_STARTING_S: Final = 120
_STAT: Final = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_COVERED: Final = re.compile(r"\bcov: (\d+)")


@dataclass(frozen=True, slots=True)
class Result:
    """Hold what came of a target."""

    name: str
    accepted: int
    refused: int
    covered: int
    """Edges of the service's own code."""
    peak_mb: int
    a_second: int
    failure: str
    """Why it stopped before its time, "" where it did not."""

    @property
    def inputs(self) -> int:
        """Return how many were run."""
        return self.accepted + self.refused


def run_target(
    name: str, *, inputs: int, seconds: int | None, seed: int, keep_dir: Path, seeds: list[bytes]
) -> Result:
    """Fuzz a target until it has had its inputs, or its time; what breaks it is kept in a file."""
    keep_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus, counts = Path(folder) / "corpus", Path(folder) / "counts"
        corpus.mkdir()
        for number, content in enumerate(seeds):
            (corpus / f"seed{number}").write_bytes(content)
        counts.write_bytes(bytes(mmap.PAGESIZE))
        options = [
            f"-runs={inputs}",
            f"-seed={seed}",
            f"-timeout={INPUT_S}",
            f"-rss_limit_mb={RSS_MB}",
            f"-artifact_prefix={keep_dir}/{name}-",
            "-print_final_stats=1",
            "-len_control=0",
            *([f"-max_total_time={seconds}"] if seconds else []),
        ]
        done = _run(
            [sys.executable, "-m", "fuzz.guided", name, str(counts), *options, str(corpus)],
            folder,
            timeout_s=seconds + _STARTING_S if seconds else None,
        )
        accepted, refused = COUNTS.unpack_from(counts.read_bytes())
    stats = {key: int(value) for key, value in _STAT.findall(done.stderr)}
    covered = [int(number) for number in _COVERED.findall(done.stderr)]
    return Result(
        name=name,
        accepted=accepted,
        refused=refused,
        covered=covered[-1] if covered else 0,
        peak_mb=stats.get("peak_rss_mb", 0),
        a_second=stats.get("average_exec_per_sec", 0),
        failure=_explain(done) if done.returncode or not refused else "",
    )


def _run(command: list[str], folder: str, *, timeout_s: float | None) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            env={**os.environ, "TMPDIR": folder},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"it did not end within {timeout_s:g} s")


def _explain(done: "subprocess.CompletedProcess[str]") -> str:
    text = f"{done.stdout}\n{done.stderr}"
    lines = [
        line for line in text.splitlines() if line.strip() and not line.startswith(("#", "INFO", "stat::"))
    ]
    return f"exit code {done.returncode}:\n" + "\n".join(lines[-30:])
