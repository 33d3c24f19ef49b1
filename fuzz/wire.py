"""Serve one connection in memory: the real protocol, application and event loop, and no sockets."""

import asyncio
from functools import cache
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from fuzz.oracle import served
from service.serving.app import SegmentationApp, create_app
from service.serving.protocol import ShortcutProtocol
from service.settings import read_settings

_TURNS: Final = 1_000
"""Of the event loop; what answers in it alone takes fewer."""
_WAITS: Final = 3_000
"""Of a millisecond each, after those: files are read in threads, which a busy machine lets wait."""
_LAST_TURNS: Final = 4
"""For a request whose payload has not all come: what refuses it early has only just begun, maybe."""


class Wire(asyncio.Transport):
    """Keep what is written."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.written = bytearray()
        self.is_done = False

    def write(self, data: Any) -> None:
        """Keep a part of the answer."""
        self.written += data

    def write_eof(self) -> None:
        """Take no more."""
        self.is_done = True

    def close(self) -> None:
        """Take no more."""
        self.is_done = True

    abort = close

    def is_closing(self) -> bool:
        """Tell whether the connection is over."""
        return self.is_done

    def pause_reading(self) -> None:
        """Do nothing: `answers` sends no faster than it is read."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def get_write_buffer_size(self) -> int:
        """Return 0: all is taken at once."""
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002  # the interface
        """Return nothing: there is no socket."""
        return default


class Server:
    """Hold an application and what uvicorn needs to serve it."""

    def __init__(self) -> None:
        """Serve the oracle's model."""
        settings = read_settings(access_log="off", log_level="error", max_payload_mb=1, console_rate=0)
        self.app = _app(settings)
        self.config = uvicorn.Config(
            self.app,
            http=ShortcutProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        self.config.load()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    def answers(self, *packets: bytes) -> bytes:
        """Return all that is answered to packets on one connection, until nothing happens any more."""
        return self.loop.run_until_complete(self._answers(packets))

    async def _answers(self, packets: tuple[bytes, ...]) -> bytes:
        state = ServerState()
        protocol = ShortcutProtocol(self.config, state, {}, self.loop)
        wire = Wire()
        protocol.connection_made(wire)
        for packet in packets:
            if wire.is_done:
                break
            protocol.data_received(packet)
            await self._settle(protocol, state, wire)
        if not wire.is_done:
            protocol.eof_received()
        protocol.connection_lost(None)
        await self._settle(protocol, state, wire)
        return bytes(wire.written)

    async def _settle(self, protocol: ShortcutProtocol, state: ServerState, wire: Wire) -> None:
        """Give the loop turns until each request is answered that has come whole, or that can be before."""
        for turn in range(_TURNS + _WAITS):
            await asyncio.sleep(0 if turn < _TURNS else 0.001)
            cycle: Any = protocol.cycle
            waits_for_us = cycle is not None and not cycle.response_complete and not cycle.more_body
            if wire.is_done or not (waits_for_us or protocol.has_unparsed or protocol.pipeline):
                break
            if waits_for_us and any(not task.done() for task in state.tasks):
                await asyncio.sleep(0)
        else:
            raise TimeoutError(f"no answer after {_WAITS} ms")
        for _ in range(_LAST_TURNS if state.tasks or wire.is_done else 0):
            await asyncio.sleep(0)


def _app(settings: Any) -> SegmentationApp:
    app = create_app(None, settings)
    app.lane._served = served()  # noqa: SLF001  # a model without an artifact
    app.lane.short_cuts[b"/invocations"] = served()
    return app


@cache
def server() -> Server:
    """Return the one server of this process."""
    return Server()
