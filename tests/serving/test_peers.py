"""Workers are told of a change and waited for; the dead and the stuck hold nobody up."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.serving import peers
from service.serving.peers import Peers

WORKER = """
import asyncio, sys
from pathlib import Path
from service.serving.peers import Peers

async def run():
    folder, told = Path(sys.argv[1]), Path(sys.argv[2])
    Peers(folder, on_told=lambda: told.write_text(told.read_text() + "x"))
    print("ready", flush=True)
    await asyncio.sleep(300)

asyncio.run(run())
"""


class Worker:
    """Hold another worker, and how often it was told."""

    def __init__(self, folder: Path, told: Path) -> None:
        told.touch()
        self._told = told
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(told)], stdout=subprocess.PIPE
        )
        self.socket = folder / f"{self.process.pid}.sock"
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"

    def times_told(self) -> int:
        return len(self._told.read_text())

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sockets"
    folder.mkdir()
    return folder


@pytest.fixture(name="workers")
def _workers(folder: Path, tmp_path: Path) -> Iterator[list[Worker]]:
    workers = [Worker(folder, tmp_path / f"told-{number}") for number in range(2)]
    yield workers
    for worker in workers:
        worker.end()


def tell(folder: Path, times: int) -> int:
    """Tell the others so many times, at once; return how often this worker itself was told."""
    told = 0

    def count() -> None:
        nonlocal told
        told += 1

    async def run() -> None:
        own = Peers(folder, on_told=count)
        try:
            await asyncio.gather(*(own.tell() for _ in range(times)))
        finally:
            asyncio.get_running_loop().remove_reader(own._socket)
            own._socket.close()

    asyncio.run(run())
    return told


def test_every_other_worker_has_acted_when_telling_ends(folder: Path, workers: list[Worker]) -> None:
    own = tell(folder, 5)

    assert [worker.times_told() for worker in workers] == [5, 5]
    assert own == 0


def test_the_dead_are_forgotten(
    folder: Path, workers: list[Worker], caplog: pytest.LogCaptureFixture
) -> None:
    workers[0].end()
    tell(folder, 1)

    assert not workers[0].socket.exists()
    assert workers[1].times_told() == 1
    assert not caplog.records


def test_the_stuck_hold_nobody_up(
    folder: Path, workers: list[Worker], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peers, "_PATIENCE_S", 0.2)
    os.kill(workers[0].process.pid, signal.SIGSTOP)
    tell(folder, 1)

    assert "slow to learn" in caplog.text
    assert workers[1].times_told() == 1


def test_nobody_else_is_nobody_to_wait_for(folder: Path) -> None:
    assert tell(folder, 3) == 0
