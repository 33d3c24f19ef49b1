"""Open and close connections by the thousand, and hold ten thousand that say nothing."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from bench.servers import HOST, Server
from bench.soak.watch import Look, look

_ASK: Final = (
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: 14\r\n\r\n[[25, 1250.0]]"
)

_AT_ONCE: Final = 64
_OPENED_TOGETHER: Final = 200
_PROBES: Final = 500


@dataclass(frozen=True, slots=True)
class Churn:
    """Hold what opening a connection for every request did."""

    connections: int
    seconds: float
    failed: int
    before: Look
    after: Look


@dataclass(frozen=True, slots=True)
class Idle:
    """Hold what connections that say nothing cost."""

    connections: int
    refused: int
    kib_each: float
    p99_ms: float
    """Of one who asks meanwhile, on new connections."""
    failed: int
    files_left: int
    """More files open than before, once all have gone."""


async def churn(server: Server, *, seconds: float) -> Churn:
    """Ask once on each connection, and close it."""
    await _ask_anew(server.port, ends_s=time.perf_counter() + 0.5)
    before = look(server)
    started_s = time.perf_counter()
    found = await asyncio.gather(
        *(_ask_anew(server.port, ends_s=started_s + seconds) for _ in range(_AT_ONCE))
    )
    took_s = time.perf_counter() - started_s
    await _until_files(server, before.files)
    return Churn(
        connections=sum(done for done, _ in found),
        seconds=took_s,
        failed=sum(failed for _, failed in found),
        before=before,
        after=look(server),
    )


async def idle(server: Server, *, connections: int) -> Idle:
    """Hold connections that never say a word, and ask beside them."""
    await _ask_anew(server.port, ends_s=time.perf_counter() + 0.5)
    before = look(server)
    writers: list[asyncio.StreamWriter] = []
    refused = 0
    for _ in range(0, connections, _OPENED_TOGETHER):
        opened = await asyncio.gather(
            *(asyncio.open_connection(HOST, server.port) for _ in range(_OPENED_TOGETHER)),
            return_exceptions=True,
        )
        writers += [pair[1] for pair in opened if not isinstance(pair, BaseException)]
        refused += sum(isinstance(pair, BaseException) for pair in opened)
    await _until_files(server, before.files + len(writers))
    full = look(server)
    took_ms, failed = [], 0
    for _ in range(_PROBES):
        since_s = time.perf_counter()
        failed += not await _ask_once(server.port)
        took_ms.append((time.perf_counter() - since_s) * 1e3)
    for writer in writers:
        writer.close()
    await _until_files(server, before.files)
    return Idle(
        connections=full.files - before.files,
        refused=refused,
        kib_each=(full.pss_mb - before.pss_mb) * 1024 / max(1, full.files - before.files),
        p99_ms=sorted(took_ms)[len(took_ms) * 99 // 100],
        failed=failed,
        files_left=look(server).files - before.files,
    )


async def _until_files(server: Server, wanted: int) -> None:
    """Wait, 10 s at the most, until the server has as many files open."""
    deadline_s = time.perf_counter() + 10
    while look(server).files != wanted and time.perf_counter() < deadline_s:  # noqa: ASYNC110  # another process sends no event
        await asyncio.sleep(0.05)


async def _ask_anew(port: int, *, ends_s: float) -> tuple[int, int]:
    done = failed = 0
    while time.perf_counter() < ends_s:
        failed += not await _ask_once(port)
        done += 1
    return done, failed


async def _ask_once(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        writer.write(_ASK)
        return b" 200 " in (await reader.read())[:16]
    except OSError:
        return False
    finally:
        writer.close()
