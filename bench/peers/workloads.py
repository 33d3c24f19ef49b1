"""Say what is measured: payloads, connections, workers; and how the requests of each are made."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final, assert_never

from bench.peers.contenders import Contender, Media
from bench.peers.dialects import Dialect, Records, encode_csv, encode_json, encode_npy
from service.load.payload import make_payload

OURS_ONLY: Final = ("segserve",)

LATENCY_COUNT: Final = 100
"""Requests from which a p99 is told; a p99.9 from ten times as many."""


class Form(StrEnum):
    """Name what records look like, as it stands in a workload's name."""

    PLAIN = ""
    """As each server likes them best."""
    OBJECTS = " as objects"
    NESTED = " as objects with lists"
    """Which Python reads: that takes a server far longer than it takes the load to send them."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Say what is sent, over how many connections, to how many workers."""

    records: int
    connections: int
    media: Media = Media.JSON
    workers: int = 1
    is_free: bool = False
    """Whether server and load share all cores; else the server has one and the load another."""
    form: Form = Form.PLAIN
    only: Sequence[str] = ()
    """The servers that are put under it; all that take the media type when empty."""

    @property
    def name(self) -> str:
        """Return what it is called in tables and results."""
        size = f"{self.records:,} record{'s' if self.records > 1 else ''}"
        size += self.form.value
        connections = f"{self.connections} connection{'s' if self.connections > 1 else ''}"
        kind = self.media.name if self.media is not Media.NPY else "npy"
        cores = f", {self.workers} worker{'s' if self.workers > 1 else ''}, all cores" if self.is_free else ""
        return f"{size}, {kind}, {connections}{cores}"

    def dialect_of(self, contender: Contender) -> Dialect:
        """Return how a server is told of the records."""
        match self.form:
            case Form.PLAIN:
                return contender.dialect
            case Form.OBJECTS:
                return Dialect.OBJECTS
            case Form.NESTED:
                return Dialect.NESTED
            case _:
                assert_never(self.form)

    def takes_part(self, contender: Contender) -> bool:
        """Tell whether a server is put under it."""
        return self.media in contender.takes and (not self.only or contender.name in self.only)


ONE: Final = Workload(1, 16)
HUNDRED: Final = Workload(100, 16)
BULK: Final = Workload(10_000, 4)
OBJECTS: Final = Workload(10_000, 4, form=Form.OBJECTS, only=OURS_ONLY)
CSV_MILLION: Final = Workload(1_000_000, 1, Media.CSV, only=OURS_ONLY)
NPY: Final = Workload(100_000, 1, Media.NPY)
ONE_WORKER: Final = Workload(10_000, 16, is_free=True, only=OURS_ONLY)
TWO_WORKERS: Final = Workload(10_000, 16, workers=2, is_free=True)
ONE_SLOW: Final = Workload(10_000, 16, is_free=True, form=Form.NESTED, only=OURS_ONLY)
TWO_SLOW: Final = Workload(10_000, 16, workers=2, is_free=True, form=Form.NESTED, only=OURS_ONLY)

PINNED: Final = (
    Workload(1, 1),
    ONE,
    Workload(1, 64),
    HUNDRED,
    Workload(10_000, 1),
    BULK,
    OBJECTS,
    Workload(100_000, 1),
    Workload(10_000, 4, Media.CSV),
    NPY,
    CSV_MILLION,
)
FREE: Final = (ONE_WORKER, Workload(1, 16, workers=2, is_free=True), TWO_WORKERS, ONE_SLOW, TWO_SLOW)

QUICK_PINNED: Final = (ONE, HUNDRED, BULK, OBJECTS, Workload(10_000, 4, Media.CSV), NPY)
QUICK_FREE: Final = (ONE_WORKER, TWO_WORKERS, ONE_SLOW, TWO_SLOW)


@cache
def records(n: int) -> Records:
    """Return so many records, the same every time."""
    made: Records = json.loads(make_payload(n))
    return made


def write_body(folder: Path, n: int, media: Media, dialect: Dialect) -> Path:
    """Return the file with a body, written once."""
    path = folder / f"{n}-{media.name}-{dialect.name}"
    if not path.exists():
        path.write_bytes(encode(n, media, dialect))
    return path


def encode(n: int, media: Media, dialect: Dialect) -> bytes:
    """Return the body of so many records."""
    match media:
        case Media.JSON:
            return encode_json(records(n), dialect)
        case Media.CSV:
            return encode_csv(records(n), has_header=dialect is Dialect.MLFLOW)
        case Media.NPY:
            return encode_npy(records(n))
        case _:
            assert_never(media)
