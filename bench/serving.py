"""Measure serving: interleaved rounds of load, start-up, and memory of each server alone."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.servers import Server, ServerName, running
from service.load.payload import make_payload
from service.load.result import Load
from service.load.tools import Tool, put_load

LOADED: Final = (ServerName.HELLO, ServerName.PLAIN, ServerName.SEGSERVE)
"""Servers that are put under load."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Say what is sent."""

    name: str
    records: int
    connections: int


ONE: Final = Workload("1 record", records=1, connections=16)
MANY: Final = Workload("10,000 records", records=10_000, connections=4)
WORKLOADS: Final = (ONE, MANY)


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold one server under one workload in one round."""

    round: int
    server: str
    workload: str
    load: Load
    cpu_s: float
    """Of the server's process tree during the load."""


@dataclass(frozen=True, slots=True)
class Start:
    """Hold one start of one server."""

    round: int
    server: ServerName
    start_s: float


@dataclass(frozen=True, slots=True)
class ServingResults:
    """Hold everything that was measured of the servers."""

    samples: list[Sample]
    starts: list[Start]
    memory_mb: dict[ServerName, float]
    """PSS after load, nothing else running that shares pages."""


class ServingBench:
    """Measure the servers with one model."""

    def __init__(
        self, folder: Path, *, store: Path, client: Tool, seconds: int, log: Callable[[str], None]
    ) -> None:
        """Write the payloads into a folder; load lasts so many seconds each time."""
        self._store = store
        self._client = client
        self._seconds = seconds
        self._log = log
        self._bodies = {workload: folder / f"{workload.records}.json" for workload in WORKLOADS}
        for workload, path in self._bodies.items():
            path.write_bytes(make_payload(workload.records))

    def run(self, rounds: int) -> ServingResults:
        """Measure everything, in rounds that measure every server in turn.

        Raises:
            RuntimeError: Two servers give different labels.
        """
        return ServingResults(
            samples=self._load(rounds), starts=self._starts(rounds), memory_mb=self._memory()
        )

    def _load(self, rounds: int) -> list[Sample]:
        with ExitStack() as stack:
            servers = [stack.enter_context(running(name, store=self._store)) for name in LOADED]
            self._compare_labels(servers)
            samples = []
            for number in range(1, rounds + 1):
                self._log(f"load, round {number} of {rounds}")
                samples += [
                    self._sample(number, server, workload) for workload in WORKLOADS for server in servers
                ]
            return samples

    def _sample(self, number: int, server: Server, workload: Workload) -> Sample:
        before = server.cpu_s()
        load = self._put_load(server, workload)
        return Sample(number, server.name, workload.name, load, cpu_s=server.cpu_s() - before)

    def _starts(self, rounds: int) -> list[Start]:
        starts = []
        for number in range(rounds + 1):
            self._log(f"start-up, round {number} of {rounds}")
            for name in ServerName:
                with running(name, store=self._store) as server:
                    starts.append(Start(number, name, server.start_s))
        # The first round compiles what is not yet compiled.
        return [start for start in starts if start.round > 0]

    def _memory(self) -> dict[ServerName, float]:
        self._log("memory")
        memory_mb = {}
        for name in LOADED:
            with running(name, store=self._store) as server:
                for workload in WORKLOADS:
                    self._put_load(server, workload)
                memory_mb[name] = server.pss_mb()
        return memory_mb

    def _put_load(self, server: Server, workload: Workload) -> Load:
        load = put_load(
            server.url("/invocations"),
            tool=self._client,
            body_path=self._bodies[workload],
            content_type="application/json",
            connections=workload.connections,
            seconds=self._seconds,
        )
        if load.failed:
            raise RuntimeError(f"{load.failed} of {load.requests} requests to {server.name} failed")
        return load

    def _compare_labels(self, servers: list[Server]) -> None:
        body = self._bodies[MANY].read_bytes()
        answers = {
            server.name: json.loads(server.post(body))
            for server in servers
            if server.name != ServerName.HELLO
        }
        if answers[ServerName.SEGSERVE] != answers[ServerName.PLAIN]:
            raise RuntimeError("segserve and plain give different labels")
        self._log(f"segserve and plain agree on {len(answers[ServerName.PLAIN]):,} labels")
