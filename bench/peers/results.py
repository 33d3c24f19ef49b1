"""Hold what was measured, as plain values that go to JSON and back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold one server under one workload in one round."""

    round: int
    server: str
    workload: str
    records: int
    requests: int
    seconds: float
    cpu_s: float
    """Of the server's process tree during the load."""
    p50_ms: float
    p99_ms: float
    p999_ms: float

    @property
    def requests_per_s(self) -> float:
        """Return what the client got."""
        return self.requests / self.seconds

    @property
    def request_cpu_us(self) -> float:
        """Return the server's CPU time per request: what to trust on a noisy machine."""
        return self.cpu_s / self.requests * 1e6

    @property
    def million_cpu_s(self) -> float:
        """Return the server's CPU time per million records."""
        return self.cpu_s / (self.requests * self.records) * 1e6


@dataclass(frozen=True, slots=True)
class Start:
    """Hold one start of one server that has the machine for itself."""

    round: int
    server: str
    start_s: float
    memory_mb: float
    """PSS of the process tree after some load."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold one reading of a CSV file by a library, in a process of its own."""

    round: int
    reader: str
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Pings:
    """Hold how one health check after the other was answered while every worker read bodies of 25 MB."""

    count: int
    p50_ms: float
    p999_ms: float
    slowest_ms: float
    bodies: int


@dataclass(frozen=True, slots=True)
class Server:
    """Hold what a server of the comparison is."""

    name: str
    title: str
    kind: str
    versions: Mapping[str, str]
    command: str
    body: str
    note: str


@dataclass(slots=True)
class Results:
    """Hold everything that was measured in one run."""

    created: str
    machine: Mapping[str, Any]
    seconds: float
    """Of each stretch of load."""
    servers: list[Server] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """The reason, by server."""
    samples: list[Sample] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    pings: Pings | None = None

    def of(self, workload: str, server: str) -> list[Sample]:
        """Return the rounds of one server under one workload."""
        return [sample for sample in self.samples if (sample.workload, sample.server) == (workload, server)]

    def names(self, kinds: Sequence[str]) -> list[str]:
        """Return the servers of some kinds, in their order."""
        return [server.name for server in self.servers if server.kind in kinds]

    def save(self, path: Path) -> None:
        """Write all of it, one line a sample."""
        document = asdict(self)
        lines = []
        for key, value in document.items():
            if isinstance(value, list):
                items = ",\n".join(json.dumps(item) for item in value)
                lines.append(f"{json.dumps(key)}: [\n{items}\n]")
            else:
                lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
        path.parent.mkdir(exist_ok=True)
        path.write_text("{" + ",\n".join(lines) + "}\n")


def load_results(path: Path) -> Results:
    """Read what a run has written."""
    document = json.loads(path.read_bytes())
    return Results(
        created=document["created"],
        machine=document["machine"],
        seconds=document["seconds"],
        servers=[Server(**one) for one in document["servers"]],
        skipped=document["skipped"],
        samples=[Sample(**one) for one in document["samples"]],
        starts=[Start(**one) for one in document["starts"]],
        readings=[Reading(**one) for one in document["readings"]],
        pings=Pings(**document["pings"]) if document["pings"] else None,
    )
