"""Check a container that serves, from its start to its end: C1, C4, C6, C8, C16, C34, C41."""

import contextlib
import socket
import time
from typing import Final

from service.conformance.container import Container
from service.conformance.hosting import Image, Start
from service.conformance.server import Server
from service.conformance.verdict import NotApplicable, advise, expect
from service.contract import DEFAULT_PORT, INVOCATIONS_PATH, PREFIX, STOP_GRACE_S

KILLED: Final = 137
IN_FLIGHT_S: Final = 0.5
"""From the first half of a request to SIGTERM, and from there to the other half."""
MOUNT_POINTS: Final = (PREFIX, f"{PREFIX}/model", f"{PREFIX}/models")


class Hosted:
    """Hold the container that most clauses are about."""

    def __init__(self, image: Image, start: Start) -> None:
        """Look at a container by how it has started."""
        self.image = image
        self.start = start
        self.sent = ""
        self.received = ""

    def look(self, received: object = "") -> None:
        """Remember the start as what was looked at."""
        self.sent = f"docker run {' '.join(['-v', *self.image.volumes])} {self.image.name} serve".replace(
            " -v  ", " "
        )
        self.received = str(received or self.start)

    def container(self) -> Container:
        """Return the running container; NotApplicable where it did not stay."""
        if self.start.container is None or self.start.exit_code is not None:
            raise NotApplicable("the container does not run (C1)")
        return self.start.container

    def server(self) -> Server:
        """Return the server in it; NotApplicable where nothing answers."""
        container = self.container()
        if self.start.ping_status is None:
            raise NotApplicable("the server cannot be reached (C6, C16)")
        return self.image.server(container.address)


def container_keeps_running(hosted: Hosted) -> None:
    """C1."""
    hosted.look()
    expect(not hosted.start.problem, f"the container does not start: {hosted.start.problem}")
    code = hosted.start.exit_code
    expect(code is None, f"the container ended with {code}{hosted.start.last_words()}")


def server_listens_for_all(hosted: Hosted) -> None:
    """C6."""
    hosted.container()
    hosted.look()
    listening = hosted.start.listening
    if hosted.start.ping_status is not None or not listening:
        if hosted.start.ping_status is None:
            raise NotApplicable("nothing is seen to listen (C16)")
        return
    expect(
        (DEFAULT_PORT, True) not in listening, f"port {DEFAULT_PORT} is open on the loopback interface only"
    )
    ports = sorted({port for port, _ in listening})
    expect(DEFAULT_PORT in ports, f"listens on {', '.join(map(str, ports))} instead of {DEFAULT_PORT}")


def one_port_is_open(hosted: Hosted) -> None:
    """C8."""
    listening = hosted.container().listening()
    hosted.look(listening)
    if listening is None:
        raise NotApplicable("the image has no cat to look at /proc/net/tcp with")
    others = sorted({port for port, _ in listening} - {DEFAULT_PORT})
    expect(not others, f"port {', '.join(map(str, others))} is open too")


def healthy_in_time(hosted: Hosted) -> None:
    """C16."""
    hosted.container()
    hosted.look()
    if hosted.start.ping_status is None and hosted.start.listening:
        raise NotApplicable("the server cannot be reached (C6)")
    if hosted.start.ping_status is not None and not hosted.start.is_healthy:
        raise NotApplicable(f"ping is answered with {hosted.start.ping_status} (C13)")
    expect(hosted.start.is_healthy, f"no ping was answered within {hosted.start.took_s:.0f} s")


def nothing_is_written_below_prefix(hosted: Hosted) -> None:
    """C34."""
    changes = hosted.container().changes()
    written = [path for path in changes if path.startswith(f"{PREFIX}/") and path not in MOUNT_POINTS]
    hosted.sent, hosted.received = "docker diff", ", ".join(written) or f"nothing below {PREFIX}"
    expect(not written, f"{written[0] if written else ''} was written")


def logs_go_to_the_streams(hosted: Hosted) -> None:
    """C41."""
    container = hosted.container()
    lines = container.logs().splitlines()
    hosted.sent, hosted.received = "docker logs", f"{len(lines)} lines"
    files = [path for path in container.changes() if path.endswith(".log")]
    expect(lines or not files, f"nothing was printed, and {', '.join(files[:2])} was written")
    advise(lines, "nothing was printed, not even at the start")


def sigterm_ends_it(hosted: Hosted) -> None:
    """C4: half a request, SIGTERM, the other half. Ends the container."""
    container = hosted.container()
    hosted.look()
    answer = ""
    since = time.monotonic()
    if hosted.start.is_healthy:
        answer, since = _terminate_in_flight(hosted, container)
    else:
        container.signal("TERM")
    code = container.wait(deadline_s=max(1.0, STOP_GRACE_S - (time.monotonic() - since)))
    took_s = time.monotonic() - since
    hosted.sent = "half of POST /invocations, SIGTERM, the other half"
    ended = "still running" if code is None else f"exit code {code}"
    hosted.received = f"{answer or 'no answer'}; {ended} after {took_s:.1f} s"
    expect(code is not None, f"it still ran {STOP_GRACE_S} s after SIGTERM")
    expect(code != KILLED, "it was killed")
    if hosted.start.is_healthy:
        expect(answer.startswith("HTTP/1."), "the request in flight was dropped")
        expect(not answer[9:].startswith("5"), f"the request in flight was answered with {answer[9:12]}")


def _terminate_in_flight(hosted: Hosted, container: Container) -> tuple[str, float]:
    """Return the status line of a request that was under way at SIGTERM, and when that was."""
    server = hosted.server()
    accepted = [sample for sample in server.samples if str(server.first_answer(sample)).startswith("200")]
    sample = (accepted or list(server.samples))[0]
    head = (
        f"POST {INVOCATIONS_PATH} HTTP/1.1\r\nHost: {server.address.host}\r\n"
        f"Content-Type: {sample.content_type}\r\nContent-Length: {len(sample.body)}\r\n\r\n"
    )
    half = len(sample.body) // 2
    with socket.create_connection(
        (server.address.host, server.address.port), timeout=STOP_GRACE_S
    ) as connection:
        connection.sendall(head.encode("latin-1") + sample.body[:half])
        time.sleep(IN_FLIGHT_S)
        since = time.monotonic()
        container.signal("TERM")
        time.sleep(IN_FLIGHT_S)
        received = b""
        with contextlib.suppress(OSError):
            connection.sendall(sample.body[half:])
            received = connection.recv(4096)
    return received.partition(b"\r\n")[0].decode("latin-1"), since


STARTED_CHECKS: Final = (
    ("C1", container_keeps_running),
    ("C6", server_listens_for_all),
    ("C16", healthy_in_time),
)
"""Right after the start."""
USED_CHECKS: Final = (
    ("C8", one_port_is_open),
    ("C34", nothing_is_written_below_prefix),
    ("C41", logs_go_to_the_streams),
    ("C4", sigterm_ends_it),
)
"""After it has answered requests; the last one ends it."""
