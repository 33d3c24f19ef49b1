"""What stands in for a connection's protocol takes what comes, and no more connections than it may."""

import asyncio
import socket
from typing import Any

import pytest
import uvloop

from service.serving.receivers import BULK_BYTES, FULL_READ_BYTES, MOST_IN_BULK, Bulk, Drain

CONTENT = bytes(range(256)) * 12_000
"""3 MB."""


class Recorder(asyncio.Protocol):
    """Keep what comes, and have it read in bulk from the first large part on."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.is_lost = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        self.stops = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.parts:
            self.switch(Bulk(self, stop=self.stop))
        self.parts.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost.set_result(exc)

    def switch(self, receiver: asyncio.BaseProtocol) -> None:
        self.transport.pause_reading()
        self.transport.set_protocol(receiver)
        self.transport.resume_reading()

    def stop(self) -> None:
        self.stops += 1
        self.switch(self)


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
        del some[0]
        assert Bulk.has_room()

    asyncio.run(fill())


def test_a_small_read_ends_it() -> None:
    async def read() -> Recorder:
        recorder = Recorder()
        recorder.parts.append(b"")  # not the first
        recorder.switch = lambda _: None  # type: ignore[method-assign, assignment]  # reads nothing
        bulk = Bulk(recorder, stop=recorder.stop)
        for size in (BULK_BYTES, FULL_READ_BYTES):
            bulk.get_buffer(-1)[:size] = b"x" * size
            bulk.buffer_updated(size)
        assert recorder.stops == 0
        bulk.buffer_updated(FULL_READ_BYTES - 1)
        return recorder

    recorder = asyncio.run(read())
    assert recorder.stops == 1
    assert [len(part) for part in recorder.parts[1:]] == [BULK_BYTES, FULL_READ_BYTES, FULL_READ_BYTES - 1]
