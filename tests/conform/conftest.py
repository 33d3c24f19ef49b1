"""Start servers with one fault each."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FAULTY = Path(__file__).with_name("faulty.py")


@pytest.fixture(name="start_faulty")
def _start_faulty() -> Iterator[Callable[[str], str]]:
    """Return what starts a server with a fault and gives its URL."""
    processes = []

    def start(fault: str) -> str:
        process = subprocess.Popen(
            [sys.executable, str(FAULTY), "0", fault, "127.0.0.1"], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        return f"http://127.0.0.1:{process.stdout.readline().rsplit(maxsplit=1)[-1]}"

    yield start
    for process in processes:
        process.kill()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
