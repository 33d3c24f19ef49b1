"""Check connections and GET /ping: C9 to C15."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from service.conformance.samples import Sample
from service.conformance.server import GROWN_RECORDS, OK, Server
from service.conformance.verdict import NotApplicable, expect
from service.conformance.wire import (
    Answer,
    NoAnswerError,
    TimedOutError,
    ask,
    ask_on,
    connect,
    describe,
    time_connect,
)
from service.contract import INVOCATIONS_PATH, PING_PATH

PING_S: Final = 2
"""C14. Source: AWS guide, "Custom Inference Code with Hosting Services"."""
CONNECT_S: Final = 0.25
"""C9. Source: as C14."""
HOST: Final = "model.aws.local:8080"
"""C10: what SageMaker's own pings carry."""
IDLE_PINGS: Final = 20
BUSY_CLIENTS: Final = 4
"""C14: four for each worker, and there may be one."""
BUSY_BYTES: Final = 256 * 1024
CLIENTS: Final = 50
_PATIENCE_S: Final = 10.0
_QUICK_S: Final = 0.2
_HEAVY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Load:
    """Hold what was seen while the server was busy; times in seconds."""

    pings_s: list[float]
    connects_s: list[float]
    bad_pings: list[str]
    invocations: int
    bytes_each: int

    def __str__(self) -> str:
        """Show the load in a report."""
        return (
            f"{len(self.pings_s)} pings, slowest {max(self.pings_s, default=0):.2f} s; "
            f"{len(self.connects_s)} connections, slowest {1000 * max(self.connects_s, default=0):.0f} ms; "
            f"{self.invocations} invocations of {self.bytes_each:,} bytes meanwhile"
        )


def connects_quickly(server: Server) -> None:
    """C9."""
    load = measure(server)
    expect(load.connects_s, "no connection was accepted")
    slowest = max(load.connects_s)
    expect(slowest < CONNECT_S, f"a connection took {1000 * slowest:.0f} ms, more than 250")


def takes_any_host(server: Server) -> None:
    """C10."""
    server.need_ping()
    answer = server.ask("GET", PING_PATH, headers={"Host": HOST, "User-Agent": "AHC/2.0"})
    expect(answer.status == OK, f"Host: {HOST} was answered with {answer.status}")


def keeps_connections(server: Server) -> None:
    """C12."""
    server.need_ping()
    path = server.address.base_path + PING_PATH
    server.note(f"GET {path} twice on one connection", "")
    with connect(server.address, timeout_s=server.timeout_s) as connection:
        first = ask_on(connection, "GET", path)
        if connection.sock is None:  # closed, as the answer had said
            server.received = "first answer with Connection: close"
            return
        try:
            second = ask_on(connection, "GET", path)
        except NoAnswerError as exc:
            server.received = f"{first}; then {exc}"
            expect(False, "the connection was closed after an answer that kept it open")
        else:
            server.received = f"{first}; then {second}"
            expect(second.status == OK, f"the second request was answered with {second.status}")


def ping_is_200(server: Server) -> None:
    """C13."""
    answer = server.ask("GET", PING_PATH)
    expect(answer.status == OK, f"answered with {answer.status}")


def ping_is_quick(server: Server) -> None:
    """C14."""
    server.need_ping()
    for _ in range(IDLE_PINGS):
        answer = server.ask("GET", PING_PATH)
        expect(answer.took_s < PING_S, f"an idle server took {answer.took_s:.1f} s for a ping")
    load = measure(server)
    expect(not load.bad_pings, f"a ping during invocations: {next(iter(load.bad_pings), '')}")
    slowest = max(load.pings_s)
    expect(slowest < PING_S, f"a ping took {slowest:.1f} s while {BUSY_CLIENTS} clients were served")


def ping_takes_post(server: Server) -> None:
    """C15."""
    server.need_ping()
    answer = server.ask("POST", PING_PATH, b"")
    expect(answer.status == OK, f"answered with {answer.status}")


def answers_many_at_once(server: Server) -> None:
    """C32."""
    sample, _ = server.accepted()[0]

    def send() -> str:
        answer = _invoke(server, sample.body, sample)
        return str(answer.status) if isinstance(answer, Answer) else str(answer)

    with ThreadPoolExecutor(CLIENTS) as pool:
        results = [future.result() for future in [pool.submit(send) for _ in range(CLIENTS)]]
    bad = [result for result in results if result != str(OK)]
    request = describe("POST", INVOCATIONS_PATH, sample.body, {"Content-Type": sample.content_type})
    server.note(f"{CLIENTS} at once: {request}", ", ".join(sorted(set(results))))
    expect(not bad, f"{len(bad)} of {CLIENTS} were not answered with 200: {next(iter(bad), '')}")


def measure(server: Server) -> Load:
    """Ping and connect over and over while clients send invocations; measured once for each server.

    Raises:
        NotApplicable: There is no request to load it with.
    """
    if isinstance(server.load, Load):
        server.note(*server.load_shown)
        return server.load
    sample, body = _busy_body(server)
    ends_at = time.monotonic() + server.busy_s
    stop = threading.Event()
    started = threading.Barrier(BUSY_CLIENTS + 1)

    def send() -> int:
        count = 0
        started.wait()
        while not stop.is_set():
            _invoke(server, body, sample)
            count += 1
        return count

    pings_s: list[float] = []
    connects_s: list[float] = []
    bad: list[str] = []
    with ThreadPoolExecutor(BUSY_CLIENTS) as pool:
        clients = [pool.submit(send) for _ in range(BUSY_CLIENTS)]
        started.wait()
        try:
            while time.monotonic() < ends_at:
                connects_s.append(_timed_connect(server))
                took_s, problem = _timed_ping(server)
                pings_s.append(took_s)
                bad += [problem] if problem else []
        finally:
            stop.set()
        count = sum(client.result() for client in clients)
    load = Load(pings_s, connects_s, bad, count, len(body))
    request = describe("POST", INVOCATIONS_PATH, body, {"Content-Type": sample.content_type})
    server.load = load
    server.load_shown = (f"GET {PING_PATH}, while {BUSY_CLIENTS} clients send {request}", str(load))
    server.note(*server.load_shown)
    return load


def _busy_body(server: Server) -> tuple[Sample, bytes]:
    """Return a heavy request that is known to be answered within about a second, at most BUSY_BYTES long."""
    sample, _ = server.accepted()[0]
    longer = server.grown()
    if longer is None:
        return sample, sample.body
    grown_sample, body = longer
    answer = _invoke(server, body, grown_sample)
    if not _is_ok(answer):
        return sample, sample.body
    more = grown_sample.with_records(GROWN_RECORDS * max(1, BUSY_BYTES // len(body)))
    if more is not None and isinstance(answer, Answer) and answer.took_s < _QUICK_S:
        heavy = _invoke(server, more, grown_sample)
        if isinstance(heavy, Answer) and heavy.status == OK and heavy.took_s < _HEAVY_S:
            return grown_sample, more
    return grown_sample, body


def _invoke(server: Server, body: bytes, sample: Sample) -> Answer | NoAnswerError:
    headers = {"Content-Type": sample.content_type}
    try:
        return ask(server.address, "POST", INVOCATIONS_PATH, body, headers, timeout_s=server.timeout_s)
    except NoAnswerError as exc:
        return exc


def _is_ok(answer: Answer | NoAnswerError) -> bool:
    return isinstance(answer, Answer) and answer.status == OK


def _timed_ping(server: Server) -> tuple[float, str]:
    """Return how long a ping took, and what was wrong with it."""
    since = time.monotonic()
    try:
        answer = ask(server.address, "GET", PING_PATH, timeout_s=_PATIENCE_S)
    except TimedOutError:
        return time.monotonic() - since, ""  # too slow, which the time says
    except NoAnswerError as exc:
        return time.monotonic() - since, str(exc)
    return answer.took_s, "" if answer.status == OK else f"answered with {answer.status}"


def _timed_connect(server: Server) -> float:
    try:
        return time_connect(server.address, timeout_s=_PATIENCE_S)
    except NoAnswerError as exc:
        raise NotApplicable(f"the server takes no connections: {exc}") from exc


CHECKS: Final = (
    ("C9", connects_quickly),
    ("C10", takes_any_host),
    ("C12", keeps_connections),
    ("C13", ping_is_200),
    ("C14", ping_is_quick),
    ("C15", ping_takes_post),
    ("C32", answers_many_at_once),
)
