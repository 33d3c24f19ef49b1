"""Hold the hot path to ratios that mean the same on any machine, however busy: `python -m bench.guard`.

Everything runs in this process, without sockets: requests are handed to the protocols as a socket would hand
them over. Subject and yardstick take turns, CPU time is counted, and the best of many short rounds is taken,
which is the one that nothing disturbed.
"""

import asyncio
import contextlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import uvloop
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.artifact import MODEL, Artifact, Provenance, pack, read_artifact
from service.model import Golden, Segment, SegmentModel
from service.serving.app import create_app
from service.serving.invocation import ServedModel, answer
from service.serving.kernel import make_kernel
from service.serving.media import make_plan
from service.serving.protocol import ShortcutProtocol
from service.settings import KernelUse, OnError, read_settings
from service.transform import Transform

T = TypeVar("T", bound=HttpToolsProtocol)

_ROUNDS: Final = 100
_REQUESTS: Final = 200
_BULK: Final = 10_000
ONE: Final = b"[[25, 1250.0]]"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Hold what a path costs, in CPU time, to something that everybody has."""

    name: str
    cost_us: float
    """Of one request."""
    yardstick_us: float
    promised: float
    """At most. Generous: far above what is measured, far below what the path costs without its short cut."""

    @property
    def measured(self) -> float:
        """Return the ratio."""
        return self.cost_us / self.yardstick_us

    @property
    def is_met(self) -> bool:
        """Tell whether the promise is kept."""
        return self.measured <= self.promised


class _Wire(asyncio.Transport):
    """Take what a protocol writes."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 1)})
        self.last = b""

    def write(self, data: Any) -> None:
        self.last = bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        raise AssertionError("the connection was closed")

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    """Read the payload and answer with a fixed one."""
    del scope
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"[1]"})


def measure() -> list[Ratio]:
    """Return what the hot path costs."""
    return uvloop.run(_measure())


async def _measure() -> list[Ratio]:
    artifact = _artifact()
    settings, model = read_settings(), ServedModel(artifact.model, "any")
    app = create_app(artifact, replace(settings, kernel=KernelUse.OFF))
    compiled_app = create_app(artifact, replace(settings, kernel=KernelUse.AUTO))
    compiled = replace(model, kernel=make_kernel(artifact.model, KernelUse.AUTO))
    app.lane.warm()
    one, bulk = _post(ONE), b"[%b]" % b", ".join([b"[25, 1250.0]"] * _BULK)
    objects = json.dumps([{"Age": 25, "Income": 60010, "Purchases": 20, "Gender": "Female"}] * _BULK).encode()
    hello, hello_wire = _connect(_hello, HttpToolsProtocol)
    ours, our_wire = _connect(app, ShortcutProtocol)
    whole, whole_wire = _connect(compiled_app, ShortcutProtocol)
    plan = make_plan("application/json", "", "", default_accept="application/json", on_error=OnError.REJECT)

    for body, subject in ((bulk, model), (bulk, compiled), (objects, compiled)):
        reply = answer(body, plan, subject)
        if reply.status != 200 or len(reply.places) != _BULK:
            raise AssertionError("many records are not all answered")

    async def loads() -> None:
        json.loads(bulk)

    async def loads_objects() -> None:
        json.loads(objects)

    async def answers() -> None:
        answer(bulk, plan, model)

    async def answers_compiled() -> None:
        answer(bulk, plan, compiled)

    async def answers_objects() -> None:
        answer(objects, plan, compiled)

    best = await _best(
        {
            "hello": lambda: _feed(hello, one),
            "ours": lambda: _feed(ours, one),
            "whole": lambda: _feed(whole, one),
            "loads": loads,
            "answer": answers,
            "compiled": answers_compiled,
            **({"loads objects": loads_objects, "objects": answers_objects} if compiled.kernel else {}),
        }
    )
    if not all(wire.last.endswith(b"[1]") for wire in (our_wire, whole_wire, hello_wire)):
        raise AssertionError("a server answered something else")
    ratios = [
        Ratio(
            "1 record, the protocol: to uvicorn's with a bare ASGI hello",
            best["ours"] / _REQUESTS,
            best["hello"] / _REQUESTS,
            promised=0.7,
        ),
        Ratio("10,000 records, the answer: to json.loads alone", best["answer"], best["loads"], promised=0.6),
    ]
    if compiled.kernel:
        ratios += [
            Ratio("the same by the kernel", best["compiled"], best["loads"], promised=0.2),
            Ratio(
                "10,000 objects by the kernel: to json.loads alone",
                best["objects"],
                best["loads objects"],
                promised=0.2,
            ),
            Ratio(
                "1 record, whole by the kernel: to the same hello",
                best["whole"] / _REQUESTS,
                best["hello"] / _REQUESTS,
                promised=0.4,
            ),
        ]
    return ratios


async def _best(subjects: Mapping[str, Callable[[], Awaitable[None]]]) -> dict[str, float]:
    """Return the CPU time of each subject's best round, in µs."""
    best = dict.fromkeys(subjects, math.inf)
    for _ in range(_ROUNDS):
        for name, subject in subjects.items():
            started_s = time.process_time()
            await subject()
            best[name] = min(best[name], (time.process_time() - started_s) * 1e6)
    return best


async def _feed(protocol: HttpToolsProtocol, request: bytes) -> None:
    """Hand requests over as they come in, and let the loop turn."""
    for _ in range(_REQUESTS):
        protocol.data_received(request)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*protocol.tasks)


def _connect(app: Any, protocol_class: type[HttpToolsProtocol]) -> tuple[HttpToolsProtocol, _Wire]:
    wire = _Wire()
    return connect(app, protocol_class, wire, ServerState()), wire


def connect(app: Any, protocol_class: type[T], transport: asyncio.Transport, state: ServerState) -> T:
    """Return one connection to an application, whose answers go into a transport without a socket."""
    config = Config(
        app,
        http=protocol_class,
        ws="none",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="off",
    )
    config.load()
    protocol = protocol_class(config, state, {})
    protocol.connection_made(transport)
    return protocol


def _post(body: bytes) -> bytes:
    lines = ("POST /invocations HTTP/1.1", "Host: a", "Content-Type: application/json")
    return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body


def _artifact() -> Artifact:
    """Return a model of four segments, as training would pack it."""
    centroids = ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))
    model = SegmentModel(
        transform=Transform.NONE,
        mean=(20.0, 2000.0),
        scale=(10.0, 1000.0),
        centroids=centroids,
        segments=tuple(Segment(id_, f"segment {id_}", 25, 0.25, {}, 3.0) for id_ in range(len(centroids))),
        income_median=30_000.0,
        border_ratio=1.2,
        golden=Golden((), ()),
    )
    provenance = Provenance(python="", libraries={}, git_revision=None, data_digest="")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tar.gz"
        path.write_bytes(pack({MODEL: model.to_json()}, provenance=provenance, created=datetime.now(UTC))[1])
        return read_artifact(path)


def main() -> int:
    """Print the ratios; return 1 where one is too high."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):  # the access log
        ratios = measure()
    for ratio in ratios:
        verdict = "ok  " if ratio.is_met else "FAIL"
        print(
            f"{verdict} {ratio.measured:.2f} x (at most {ratio.promised:g}): {ratio.name}; "
            f"{ratio.cost_us:,.1f} and {ratio.yardstick_us:,.1f} µs of CPU"
        )
    return 0 if all(ratio.is_met for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
