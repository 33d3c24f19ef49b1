"""Speak to an application through its protocol, without a socket."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from uvicorn.server import ServerState

from bench.guard import connect
from service.artifact import Artifact
from service.contract import INVOCATIONS_PATH
from service.serving.app import SegmentationApp, create_app
from service.serving.protocol import ShortcutProtocol
from service.serving.signals.board import Board
from service.serving.signals.layout import request_cell
from service.settings import read_settings

_TURNS = 12
"""Of the loop, in which a payload is parsed a step at a time, and a small one answered."""
_MANY_TURNS = 100
"""In which a small request is surely answered; one that is cut short never is."""


class Wire(asyncio.Transport):
    """Keep what a protocol writes."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 1)})
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def write_eof(self) -> None:
        self.written.append(b"end")

    def abort(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class Peer:
    """Hold one connection to an application, without a socket."""

    def __init__(self, app: SegmentationApp) -> None:
        self.app = app
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"Tue, 24 Nov 2026 00:00:00 GMT"), (b"server", b"any")]
        self.wire = Wire()
        self.protocol = connect(app, ShortcutProtocol, self.wire, self.state)
        self.taken = 0
        """Answers that the kernel gave whole."""
        respond = self.protocol._respond_to
        if respond is not None:
            self.protocol._respond_to = self._counted(respond)

    def flush(self) -> None:
        """Count and log what was answered."""
        self.app._journal.flush()

    def answered(self) -> int:
        """Return how many invocations were counted as answered."""
        return int(self.app.meter._cells[request_cell(INVOCATIONS_PATH, 200)])

    def _counted(self, respond: Callable[..., bytes | None]) -> Callable[..., bytes | None]:
        def counted(*args: Any) -> bytes | None:
            answer = respond(*args)
            self.taken += answer is not None
            return answer

        return counted

    async def ask(self, request: bytes, *, is_whole: bool = True) -> bytes:
        """Return what is answered to a request, to several, or to what may be a part of one."""
        self.wire.written.clear()
        self.protocol.data_received(request)
        async with asyncio.timeout(30):
            await _turn(_TURNS if is_whole else _MANY_TURNS)
            while self.protocol.tasks and (is_whole or not self._waits_for_more()):  # for a thread
                await _turn(_MANY_TURNS)
        return b"".join(self.wire.written)

    def _waits_for_more(self) -> bool:
        """Tell whether what is not answered yet is a request whose end has not come."""
        return not self.protocol.pipeline and self.protocol.cycle.more_body


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /invocations HTTP/1.1", "Host: a", *filter(None, headers), f"Content-Length: {len(body)}"]
    return "\r\n".join((*lines, "", "")).encode() + body


@contextmanager
def set_variables(variables: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("SERVICE_", "SAGEMAKER_"))]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def make_peer(artifact: Artifact, *, kernel: str, **variables: str) -> Peer:
    with set_variables({"SERVICE_KERNEL": kernel, **variables}):
        return Peer(create_app(artifact, read_settings(), board=Board()))
