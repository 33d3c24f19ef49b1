"""What stands in for a connection's protocol takes what comes, and no more connections than it may."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
import uvloop

from service.artifact import Artifact
from service.serving import receivers
from service.serving.app import create_app
from service.serving.protocol import ShortcutProtocol
from service.serving.receivers import BULK_BYTES, FULL_READ_BYTES, MOST_IN_BULK, Bulk, Drain
from service.settings import read_settings
from tests.conftest import DEADLINE_S

CONTENT = bytes(range(256)) * 12_000
"""3 MB."""


class Recorder(asyncio.Protocol):
    """Keep what comes, and have it read in bulk from the first large part on."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.is_lost = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        self.stops = 0
        self.is_amid = True
        self.bulk: Bulk | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.parts:
            self.bulk = Bulk(self, stop=self.stop)
            self.switch(self.bulk)
        self.parts.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost.set_result(exc)

    def switch(self, receiver: asyncio.BaseProtocol) -> None:
        self.transport.pause_reading()
        self.transport.set_protocol(receiver)
        self.transport.resume_reading()

    def stop(self) -> None:
        self.stops += 1
        if self.bulk:
            self.bulk.leave()
        self.switch(self)

    def is_amid_payload(self) -> bool:
        return self.is_amid


class Drained(Recorder):
    """Answer at once, and throw away what comes."""

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        self.switch(Drain(self))
        self.transport.write(b"no")
        self.transport.write_eof()


async def _serve(protocol: type[Recorder], pieces: list[bytes]) -> tuple[Recorder, bytes]:
    """Return the protocol of a connection on which this was sent, and what the client read."""
    loop = asyncio.get_running_loop()
    made: asyncio.Queue[Recorder] = asyncio.Queue()

    def make() -> Recorder:
        made.put_nowait(recorder := protocol())
        return recorder

    server = await loop.create_server(make, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        recorder = await made.get()
        for piece in pieces:
            await asyncio.to_thread(client.sendall, piece)
        client.shutdown(socket.SHUT_WR)
        received = await asyncio.to_thread(client.recv, 100)
        await recorder.is_lost
    server.close()
    return recorder, received


@pytest.fixture(name="run", params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def _run(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_what_is_taken_in_bulk_is_what_was_sent(run: Any) -> None:
    recorder, _ = run(_serve(Recorder, [CONTENT, b"and the end"]))

    assert b"".join(recorder.parts) == CONTENT + b"and the end"
    assert max(map(len, recorder.parts)) <= BULK_BYTES
    assert recorder.stops >= 1
    assert recorder.is_lost.result() is None


def test_what_is_drained_is_thrown_away_and_the_answer_read(run: Any) -> None:
    recorder, received = run(_serve(Drained, [CONTENT] * 10))

    assert received == b"no"
    assert len(recorder.parts) == 1
    assert recorder.is_lost.result() is None


def test_no_more_connections_than_may_are_read_in_bulk() -> None:
    async def fill() -> None:
        recorder = Recorder()
        some = [Bulk(recorder, stop=recorder.stop) for _ in range(MOST_IN_BULK)]
        assert not Bulk.has_room()
        some[0].leave()
        assert Bulk.has_room()
        for bulk in some:
            bulk.leave()

    asyncio.run(fill())


@pytest.mark.parametrize(("size", "is_amid"), [(FULL_READ_BYTES - 1, True), (FULL_READ_BYTES, False)])
def test_a_small_read_ends_it_and_so_does_the_end_of_the_payload(size: int, *, is_amid: bool) -> None:
    async def read() -> Recorder:
        recorder = Recorder()
        recorder.parts.append(b"")  # not the first
        recorder.switch = lambda _: None  # type: ignore[method-assign, assignment]  # reads nothing
        bulk = Bulk(recorder, stop=recorder.stop)
        for filled in (BULK_BYTES, FULL_READ_BYTES):
            bulk.get_buffer(-1)[:filled] = b"x" * filled
            bulk.buffer_updated(filled)
        assert recorder.stops == 0
        recorder.is_amid = is_amid
        bulk.buffer_updated(size)
        bulk.leave()
        return recorder

    recorder = asyncio.run(read())
    assert recorder.stops == 1
    assert [len(part) for part in recorder.parts[1:]] == [BULK_BYTES, FULL_READ_BYTES, size]


@pytest.fixture(name="asked")
def _asked(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[bytes]], int]:
    """Return what serves these requests, each on a connection of its own, and tells how many are in bulk."""
    begun: list[Bulk] = []
    enter = Bulk.__init__

    def note(self: Bulk, *args: Any, **options: Any) -> None:
        enter(self, *args, **options)
        begun.append(self)

    monkeypatch.setattr(Bulk, "__init__", note)

    async def serve(requests: list[bytes]) -> int:
        app = create_app(artifact, read_settings())
        config = uvicorn.Config(
            app, http=ShortcutProtocol, lifespan="off", log_config=None, proxy_headers=False
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            running = asyncio.create_task(server.serve(sockets=[listener]))
            async with contextlib.AsyncExitStack() as stack:
                for request in requests:
                    reader, writer = await asyncio.open_connection(*listener.getsockname())
                    stack.callback(writer.close)
                    writer.write(request)
                    async with asyncio.timeout(DEADLINE_S):
                        await reader.readuntil(b"\r\n\r\n")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5):  # the last of it is still on its way
                        while any(bulk in receivers._in_bulk for bulk in begun):  # noqa: ASYNC110  # no event
                            await asyncio.sleep(0.01)
                left = sum(bulk in receivers._in_bulk for bulk in begun)
            server.should_exit = True
            await running
        assert begun, "nothing was read in bulk"
        return left

    return lambda requests: uvloop.run(serve(requests))


def _post(body: bytes) -> bytes:
    return b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    "body", [b"[" + b" " * 4_000_000 + b"[1, 2]]", b" " * 30_000_000], ids=["answered", "refused"]
)
def test_an_idle_connection_is_not_read_in_bulk(asked: Callable[[list[bytes]], int], body: bytes) -> None:
    """A transport keeps what has stood in for its protocol; 32 idle connections once left room for none."""
    assert asked([_post(body)] * 5) == 0
