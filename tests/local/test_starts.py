"""Starts that wait for their turn at the Docker engine are given up at once when the service ends."""

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from service.local.containers import DockerRuntime
from service.local.instances import Launch, Role

WANTED = 40


class Engine(ThreadingHTTPServer):
    """Stand for a Docker engine that takes its time to create a container."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EngineHandler)
        self.is_slow = threading.Event()
        self.created: list[str] = []
        self.removed: list[str] = []


class EngineHandler(BaseHTTPRequestHandler):
    """Answer what starting and removing a container asks."""

    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith("/containers/json"):
            self._reply([])
        elif "/containers/" in path:
            self._reply({"Id": path.split("/")[-2], "NetworkSettings": {"Ports": {}}})
        elif "/images/" in path:
            self._reply({"Id": "sha256:0", "RepoTags": ["segserve:latest"]})
        else:
            self._reply({"ApiVersion": "1.43"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if urlsplit(self.path).path.endswith("/create"):
            container = uuid.uuid4().hex
            self.server.created.append(container)
            self.server.is_slow.wait(30)
            self._reply({"Id": container, "Warnings": []}, status=201)
            return
        self._reply(None, status=204)

    def do_DELETE(self) -> None:
        self.server.removed.append(urlsplit(self.path).path.rsplit("/", 1)[-1])
        self._reply(None, status=204)

    def _reply(self, document: Any, *, status: int = 200) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@pytest.fixture(name="engine")
def _engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with Engine() as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{engine.server_port}")
        yield engine
        engine.is_slow.set()
        engine.shutdown()
        thread.join()


def test_starts_that_wait_are_cancelled_and_those_under_way_are_taken_away(
    engine: Engine, tmp_path: Path
) -> None:
    async def run() -> None:
        runtime = DockerRuntime("owner")
        launches = [
            Launch(f"x-{number}", "segserve", Role.SERVE, tmp_path, tmp_path / "log")
            for number in range(WANTED)
        ]
        starts = [asyncio.create_task(runtime.start(launch)) for launch in launches]
        async with asyncio.timeout(30):
            while not engine.created:  # noqa: ASYNC110  # another thread's
                await asyncio.sleep(0.01)
        for start in starts:
            start.cancel()
        engine.is_slow.set()
        done = await asyncio.gather(*starts, return_exceptions=True)
        await runtime.close()

        assert all(isinstance(one, asyncio.CancelledError) for one in done)

    asyncio.run(run())

    assert 1 <= len(engine.created) <= WANTED // 4
    assert sorted(engine.removed) == sorted(engine.created)
