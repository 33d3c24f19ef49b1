"""Memory of large payloads goes back to the system."""

import asyncio
import contextlib
import http.client
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.serving import trimming
from service.serving.trimming import TRIM_BYTES, Trimmer
from tests.conftest import DEADLINE_S, RunningServer, Starter, start_server, wait_until

JSON = "application/json"
PAYLOADS = 30
SIZE = 6 * 2**20
PART = 60_000
LEFT = 16 * 2**20
"""Of memory: numpy is imported meanwhile."""


def held_bytes(pid: int) -> int:
    """Return the memory that a process has for itself."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))


def send_by_turns(server: RunningServer) -> None:
    """Send payloads part by part in turn, so that their memory is mixed; the last part never comes."""
    address = (server.url.split("//")[1].split(":")[0], int(server.url.rsplit(":", 1)[1]))
    connections = [socket.create_connection(address, timeout=30) for _ in range(PAYLOADS)]
    for connection in connections:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % SIZE)
    for _ in range((SIZE - 1) // PART):
        for connection in connections:
            connection.sendall(b" " * PART)
    for connection in connections:
        connection.close()


def test_memory_of_payloads_that_came_slowly_goes_back(store_path: Path, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--store", str(store_path))
    pid = server.process.pid
    before = held_bytes(pid)
    send_by_turns(server)

    wait_until(lambda: held_bytes(pid) - before < LEFT, what="the memory of the payloads to be given back")
    assert server.stop() == 0


def plain(records: int) -> bytes:
    return b"[" + b", ".join([b"[25, 1250.0]"] * records) + b"]"


@pytest.mark.parametrize(
    ("body", "accept", "connections", "kernel"),
    [(plain(15_000), JSON, 300, "auto"), (plain(20_000), f"{JSON}; detail=full", 20, "off")],
    ids=["payload", "answer"],
)
def test_an_idle_connection_keeps_nothing_of_what_was_asked_and_answered(
    start: Starter, store_path: Path, body: bytes, accept: str, connections: int, kernel: str
) -> None:
    """Payloads and answers were held as long as the connections on which they had come and gone."""
    server = start("--store", str(store_path), SERVICE_KERNEL=kernel)
    pid = server.process.pid
    headers = {"content-type": JSON, "accept": accept}
    with httpx.Client(base_url=server.url, headers=headers, timeout=DEADLINE_S) as warm:
        warm.post("/invocations", content=body)
    before = held_bytes(pid)
    with contextlib.ExitStack() as stack:
        for _ in range(connections):
            client = stack.enter_context(
                contextlib.closing(http.client.HTTPConnection(server.url.removeprefix("http://")))
            )
            client.request("POST", "/invocations", body, headers)
            answer = client.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)

        wait_until(lambda: held_bytes(pid) - before < LEFT, what="what was answered to be let go")


def processes(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def settled(held: Callable[[], int]) -> int:
    """Return what is held once it has not grown for two seconds: modules are still imported after a start."""
    most, since_s = 0, time.monotonic()

    def has_settled() -> bool:
        nonlocal most, since_s
        if (now := held()) > most:
            most, since_s = now, time.monotonic()
        return time.monotonic() - since_s > 2

    wait_until(has_settled, what="imports to end")
    return held()


@pytest.mark.parametrize("workers", [1, 2])
def test_threads_that_answered_large_payloads_keep_nothing(
    start: Starter, store_path: Path, workers: int
) -> None:
    """Each had a heap of its own, at whose end 10 MB and more stayed for ever."""
    server = start("--store", str(store_path), "--workers", str(workers), SERVICE_KERNEL="off")

    def ask(body: bytes) -> None:
        with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
            for _ in range(3):
                assert client.post("/invocations", content=body).status_code == 200

    def held() -> int:
        return sum(map(held_bytes, processes(server.process.pid)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, [plain(10_000)] * 8))
        before = settled(held)
        list(pool.map(ask, [plain(300_000)] * 4))

    most = workers * LEFT / 2
    wait_until(lambda: held() - before < most, what="the memory of the answers to be given back")


@pytest.fixture(name="ran")
def _ran(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    monkeypatch.setattr(trimming, "_DELAY_S", 0.01)
    return []


async def turns(seconds: float = 0.05) -> None:
    """Let timers pass."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, done.set)
    await done.wait()


def test_it_waits_until_no_payload_is_there(ran: list[Callable[[], None]]) -> None:
    async def run() -> None:
        idle = False
        trimmer = Trimmer(is_idle=lambda: idle, run=ran.append)
        trimmer.note(TRIM_BYTES)
        await turns()
        assert ran == []
        idle = True
        await turns()
        assert ran == [trimming.give_back]
        await turns()
        assert len(ran) == 1

    asyncio.run(run())


def test_little_is_not_worth_the_while_until_it_is_much(ran: list[Callable[[], None]]) -> None:
    async def run() -> None:
        trimmer = Trimmer(is_idle=lambda: True, run=ran.append)
        trimmer.note(TRIM_BYTES - 1)
        await turns()
        assert ran == []
        trimmer.note(1)
        await turns()
        assert ran == [trimming.give_back]
        trimmer.note(TRIM_BYTES - 1)
        await turns()
        assert len(ran) == 1

    asyncio.run(run())


def test_a_number_of_heaps_that_the_environment_names_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(trimming.HEAPS_VARIABLE, raising=False)
    asked: list[str] = []
    monkeypatch.setattr(trimming, "_find_in_c", asked.append)
    trimming.share_one_heap()
    assert asked == ["mallopt"]
    monkeypatch.setenv(trimming.HEAPS_VARIABLE, "4")
    trimming.share_one_heap()
    assert asked == ["mallopt"]


def test_a_library_without_heaps_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> object:
        raise OSError

    trimming._find_in_c.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("ctypes.CDLL", missing)
        trimming.share_one_heap()
        trimming.give_back()
    trimming._find_in_c.cache_clear()
