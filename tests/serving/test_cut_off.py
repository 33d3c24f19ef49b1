"""Who is cut off amid requests that came together: nothing is written to them any more."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState

from service.artifact import Artifact
from service.serving.app import create_app
from service.serving.protocol import ShortcutProtocol
from service.settings import read_settings
from tests.conftest import DEADLINE_S

BODY = b"[" + b", ".join([b"[25, 1250.0]"] * 2000) + b"]"
DETAILED = b"POST /invocations HTTP/1.1\r\nHost: a\r\nAccept: application/json; detail=full\r\n"
REQUEST = DETAILED + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
"""Answered in a thread, and so some turns of the loop later."""


class Line:
    """Hold both ends of one connection."""

    def __init__(self, protocol: Any, writer: asyncio.StreamWriter, state: ServerState) -> None:
        self.protocol = protocol
        self.writer = writer
        self.state = state


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  # what is looked at tells nobody that it has changed
            await asyncio.sleep(0)


async def serve_one(artifact: Artifact, scenario: Callable[[Line], Any]) -> None:
    """Connect to a server of this loop, ask for two answers at once, and play the scenario."""
    app = create_app(artifact, read_settings(access_log="off"))
    config = uvicorn.Config(app, http=ShortcutProtocol, lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    state = ServerState()
    protocols: list[ShortcutProtocol] = []

    def accept() -> ShortcutProtocol:
        protocols.append(ShortcutProtocol(config, state, {}))
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(REQUEST + REQUEST)
    await until(lambda: protocols and protocols[0].pipeline)
    await scenario(Line(protocols[0], writer, state))
    await until(lambda: not state.tasks)
    writer.close()
    server.close()


async def cut_off(line: Line) -> None:
    line.protocol.transport.abort()


async def cut_off_amid_its_answer(line: Line) -> None:
    """What is sent in the same turn of the loop comes before the connection is known to be lost."""
    cycle = line.protocol._under_way
    line.protocol.transport.abort()
    await cycle.send({"type": "http.response.start", "status": 200, "headers": []})
    await cycle.send({"type": "http.response.body", "body": b"x"})


@pytest.mark.parametrize("scenario", [cut_off, cut_off_amid_its_answer])
def test_nothing_is_written_to_a_client_that_is_gone(
    artifact: Artifact, caplog: pytest.LogCaptureFixture, scenario: Callable[[Line], Any]
) -> None:
    with caplog.at_level(logging.WARNING):
        uvloop.run(serve_one(artifact, scenario))

    assert caplog.records == []
