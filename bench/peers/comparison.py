"""Run the load comparison: every server in turn, round after round, within a time that is given."""

import http.client
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers.client import LARGE, load_server, suits_wrk
from bench.peers.contenders import Contender, Kind, Media
from bench.peers.dialects import Dialect, read_labels
from bench.peers.environments import UnavailableError, programs_of, versions
from bench.peers.labels import difference, post
from bench.peers.pings import ping_under_load
from bench.peers.readers import read_csv
from bench.peers.results import Results, Sample, Start
from bench.peers.results import Server as Described
from bench.peers.starting import Model, spread, started
from bench.peers.workloads import BULK, CSV_MILLION, Workload, encode, write_body
from bench.servers import Server
from service.errors import LoadError

CHECKED: Final = 10_000
"""Records whose labels are compared."""

PINNED_SHARE: Final = 0.64
FREE_SHARE: Final = 0.80
"""Shares of the time by which a part ends; the starts have the rest."""

_AT_ONCE: Final = 3
_SETTLING_S: Final = 0.5
"""How long a server is under load before its memory is read."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Say how much is measured."""

    contenders: Sequence[Contender]
    pinned: Sequence[Workload]
    free: Sequence[Workload]
    rounds: int
    seconds: float
    minutes: float
    has_readers: bool
    ping_s: int


class Comparison:
    """Measure the servers of a plan with one model."""

    def __init__(
        self,
        folder: Path,
        *,
        model: Model,
        plan: Plan,
        results: Results,
        cache: Path,
        log: Callable[[str], None],
    ) -> None:
        """Keep bodies in a folder; results are written into as they come."""
        self._folder = folder
        self._model = model
        self._plan = plan
        self._results = results
        self._cache = cache
        self._log = log
        self._began_s = time.monotonic()
        self._programs: dict[str, Path] = {}
        cores = sorted(os.sched_getaffinity(0))
        self._all_cores = set(cores)
        self._server_cores = {cores[0]}
        self._client_cores = set(cores[1:]) or {cores[0]}

    def run(self) -> None:
        """Measure everything."""
        self._prepare()
        try:
            with ExitStack() as stack:
                os.sched_setaffinity(0, self._client_cores)
                alone = self._start_all(stack, workers=1)
                self._check_labels(alone)
                self._pinned_rounds(alone)
                os.sched_setaffinity(0, self._all_cores)
                self._ping()
                self._free_rounds(stack, alone)
        finally:
            os.sched_setaffinity(0, self._all_cores)
        self._start_rounds()

    def _prepare(self) -> None:
        """Build the environments, and describe who takes part."""
        for contender in self._plan.contenders:
            self._log(f"{contender.name}: environment")
            try:
                programs = programs_of(contender, cache=self._cache)
            except UnavailableError as exc:
                self._skip(contender.name, str(exc))
                continue
            self._programs[contender.name] = programs
            self._results.servers.append(_describe(contender, versions(programs, contender)))

    def _start_all(self, stack: ExitStack, *, workers: int) -> dict[str, Server]:
        """Start all servers that are put under load, a few at once; they run until the stack ends."""
        pinned = self._server_cores if workers == 1 else self._all_cores

        def start(contender: Contender) -> tuple[str, Server | str]:
            context = started(
                contender, self._programs[contender.name], self._model, workers=workers, cores=pinned
            )
            try:
                server = context.__enter__()  # in a thread; the stack ends it
            except (RuntimeError, OSError) as exc:
                return contender.name, str(exc)
            stack.push(context)
            return contender.name, server

        self._log(f"starting all, {workers} worker{'s' if workers > 1 else ''} each")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = dict(pool.map(start, [one for one in self._contenders() if one.takes]))
        for name, server in found.items():
            if isinstance(server, str):
                self._skip(name, f"does not start with {workers} workers: {server}")
        return {name: server for name, server in found.items() if isinstance(server, Server)}

    def _check_labels(self, servers: dict[str, Server]) -> None:
        """Compare all labels with segserve's; who differs is not measured."""
        expected: list[int] = []
        for contender in self._contenders():
            if contender.kind is Kind.CEILING or contender.name not in servers:
                continue
            for media in contender.takes:
                body = encode(CHECKED, media, contender.dialect)
                try:
                    labels = read_labels(post(servers[contender.name], contender.path, body, media))
                except (RuntimeError, ValueError, OSError, http.client.HTTPException) as exc:
                    self._skip(contender.name, f"{media.name}: {exc}")
                    servers.pop(contender.name, None)
                    break
                expected = expected or labels
                if reason := difference(labels, expected):
                    self._skip(contender.name, f"{media.name}: {reason}")
                    servers.pop(contender.name, None)
                    break
            else:
                self._log(f"{contender.name}: {CHECKED:,} labels are right in {len(contender.takes)} formats")

    def _pinned_rounds(self, servers: Mapping[str, Server]) -> None:
        for number in self._rounds("one worker on a core of its own", until=PINNED_SHARE):
            for workload in self._plan.pinned:
                self._load_all(number, workload, servers)
            if self._plan.has_readers:
                body_path = write_body(self._folder, CSV_MILLION.records, Media.CSV, Dialect.RECORDS)
                self._results.readings += read_csv(
                    number, body_path, cache=self._cache, cores=self._server_cores, skip=self._skip
                )

    def _free_rounds(self, stack: ExitStack, alone: dict[str, Server]) -> None:
        together = self._start_all(stack, workers=2)
        self._check_labels(together)
        for server in alone.values():
            spread(server, self._all_cores)
        for number in self._rounds("two workers on all cores", until=FREE_SHARE):
            for workload in self._plan.free:
                self._load_all(number, workload, together if workload.workers > 1 else alone)

    def _start_rounds(self) -> None:
        for number in self._rounds("starts and memory", until=1.0):
            for contender in self._contenders():
                try:
                    with started(
                        contender,
                        self._programs[contender.name],
                        self._model,
                        workers=1,
                        cores=self._all_cores,
                    ) as server:
                        if contender.takes:
                            self._load(contender, server, BULK, seconds=_SETTLING_S)
                        start = Start(number, contender.name, server.start_s, server.pss_mb())
                except (RuntimeError, OSError) as exc:
                    self._skip(contender.name, f"did not start: {exc}")
                    continue
                self._results.starts.append(start)

    def _load_all(self, number: int, workload: Workload, servers: Mapping[str, Server]) -> None:
        """Put one workload on all servers; each round begins with another one."""
        taking = [one for one in self._contenders() if one.name in servers and workload.takes_part(one)]
        turn = number % max(len(taking), 1)
        for contender in (*taking[turn:], *taking[:turn]):
            try:
                sample = self._load(
                    contender, servers[contender.name], workload, seconds=self._plan.seconds, number=number
                )
            except (RuntimeError, LoadError, OSError) as exc:
                self._skip(f"{contender.name}, {workload.name}", str(exc))
                continue
            self._results.samples.append(sample)

    def _load(
        self, contender: Contender, server: Server, workload: Workload, *, seconds: float, number: int = 0
    ) -> Sample:
        media = workload.media if workload.media in contender.takes else contender.takes[0]
        body_path = write_body(self._folder, workload.records, media, workload.dialect_of(contender))
        # Large bodies come from one client for all servers, but where it takes the cores that are measured.
        by_wrk = workload.records < LARGE or (
            workload.is_free
            and suits_wrk(
                server.port, contender.path, body_path=body_path, content_type=media, seconds=seconds
            )
        )
        before_s = server.cpu_s()
        load = load_server(
            server.port,
            contender.path,
            body_path=body_path,
            content_type=media,
            connections=workload.connections,
            seconds=seconds,
            by_wrk=by_wrk,
        )
        cpu_s = server.cpu_s() - before_s
        if load.failed:
            raise RuntimeError(f"{load.failed} of {load.requests} requests failed")
        return Sample(
            number,
            contender.name,
            workload.name,
            workload.records,
            load.requests,
            round(load.seconds, 4),
            round(cpu_s, 2),
            p50_ms=round(load.p50_ms, 3),
            p99_ms=round(load.p99_ms, 3),
            p999_ms=round(load.latencies_ms[99.9], 3),
        )

    def _ping(self) -> None:
        if not self._plan.ping_s:
            return
        self._log("health checks while 25 MB bodies are read")
        ours = next(one for one in self._contenders() if one.kind is Kind.OURS)
        with started(
            ours, self._programs[ours.name], self._model, workers=1, cores=self._all_cores
        ) as server:
            try:
                self._results.pings = ping_under_load(server, self._folder, seconds=self._plan.ping_s)
            except (RuntimeError, LoadError, OSError) as exc:
                self._skip("health checks under load", str(exc))

    def _rounds(self, what: str, *, until: float) -> Iterator[int]:
        """Count rounds: one, and more while a further one as long as the last would end in time."""
        end_s = self._began_s + self._plan.minutes * 60 * until
        for number in range(1, self._plan.rounds + 1):
            began_s = time.monotonic()
            self._log(
                f"{(began_s - self._began_s) / 60:4.1f} min: {what}, round {number} of {self._plan.rounds}"
            )
            yield number
            now_s = time.monotonic()
            if number < self._plan.rounds and now_s + (now_s - began_s) > end_s:
                self._log(f"no time for more than {number} of {self._plan.rounds} rounds")
                return

    def _contenders(self) -> Iterator[Contender]:
        return (one for one in self._plan.contenders if one.name in self._programs)

    def _skip(self, name: str, reason: str) -> None:
        self._log(f"{name}: not measured: {reason}")
        self._results.skipped[name] = reason[-500:]


def _describe(contender: Contender, found: Mapping[str, str]) -> Described:
    settings = [f"{key}={value}" for key, value in contender.variables.items()]
    words = (*settings, *contender.command)
    return Described(
        contender.name,
        contender.title,
        contender.kind,
        dict(found),
        " ".join(words).replace("@", ""),
        contender.dialect,
        contender.note,
    )
