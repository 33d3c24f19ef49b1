"""Start an image as SageMaker hosting does, and wait for its first healthy ping."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.conformance.container import Container, running
from service.conformance.samples import Sample
from service.conformance.server import OK, Server
from service.conformance.wire import Address, NoAnswerError, ask
from service.contract import DEFAULT_PORT, MODEL_DIR, PING_PATH, PREFIX
from service.errors import ConformanceError

POLL_S: Final = 0.2
LOOPBACK_S: Final = 3.0
OTHER_PORT_S: Final = 60.0
"""How long a server that listens where nobody reaches it is given to listen elsewhere too: on the right port
of the wrong interface, or on another port, which may be that of a server behind a slower proxy."""
START_S: Final = 480
"""C16. Source: AWS guide, "Custom Inference Code with Hosting Services"."""
PING_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Image:
    """Hold an image under test and all that goes into its containers."""

    name: str
    inspected: Any
    model: Path | None
    samples: Sequence[Sample]
    is_default: bool
    timeout_s: float
    start_timeout_s: float

    @property
    def config(self) -> Mapping[str, Any]:
        """Return its configuration."""
        config: Mapping[str, Any] = self.inspected["Config"]
        return config

    def label(self, name: str) -> str:
        """Return a label, empty where it is not set."""
        return str((self.config.get("Labels") or {}).get(name, ""))

    @property
    def volumes(self) -> tuple[str, ...]:
        """Return the model as it is mounted."""
        return (f"{self.model.resolve()}:{PREFIX}/{MODEL_DIR}:ro",) if self.model else ()

    def server(self, address: Address) -> Server:
        """Return a server of it at an address."""
        return Server(str(address), self.samples, timeout_s=self.timeout_s, is_default=self.is_default)


@dataclass(frozen=True, slots=True)
class Start:
    """Hold how a container has started."""

    container: Container | None
    """None where the engine could not even start it, and then `problem` says why."""
    took_s: float
    ping_status: int | None
    """The last one; None where no ping was answered."""
    exit_code: int | None
    listening: Sequence[tuple[int, bool]] | None
    problem: str = ""

    @property
    def is_healthy(self) -> bool:
        """Tell whether a ping was answered with 200."""
        return self.ping_status == OK

    def __str__(self) -> str:
        """Show the start in a report."""
        if self.problem:
            return self.problem
        if self.exit_code is not None:
            return f"exited with {self.exit_code} after {self.took_s:.1f} s{self.last_words()}"
        if self.ping_status is not None:
            return f"GET /ping answered {self.ping_status} after {self.took_s:.1f} s"
        ports = ", ".join(f"{port}{' (loopback)' if inner else ''}" for port, inner in self.listening or ())
        return f"no ping answered in {self.took_s:.1f} s; listening on: {ports or 'nothing'}"

    def last_words(self) -> str:
        """Return the end of the log."""
        lines = self.container.logs().strip().splitlines() if self.container else []
        return f"; last line of the log: {lines[-1][:200]}" if lines else ""


@contextlib.contextmanager
def started(
    image: Image,
    *,
    environment: Mapping[str, str] | None = None,
    volumes: Sequence[str] | None = None,
    flags: Sequence[str] = (),
    port: int = DEFAULT_PORT,
    other_ports: Sequence[int] = (),
    is_published: bool = True,
    deadline_s: float | None = None,
) -> Iterator[Start]:
    """Run `serve` while the block runs; by then it is healthy, has ended, or time ran out."""
    since = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            container = stack.enter_context(
                running(
                    image.name,
                    "serve",
                    environment=environment,
                    volumes=image.volumes if volumes is None else volumes,
                    flags=flags,
                    port=port if is_published else None,
                    other_ports=other_ports,
                )
            )
        except ConformanceError as exc:
            yield Start(None, time.monotonic() - since, None, None, None, str(exc))
            return
        address = container.published(port) if is_published else _own_address(container, port)
        yield _wait(
            container, address, since=since, port=port, deadline_s=deadline_s or image.start_timeout_s
        )


def _own_address(container: Container, port: int) -> Address | None:
    own = container.own_ip()
    return Address(own, port) if own else None


def _wait(
    container: Container, address: Address | None, *, since: float, port: int, deadline_s: float
) -> Start:
    """Poll until a ping is 200, the container ends, it settles where nobody reaches it, or time runs out."""
    status: int | None = None
    misplaced_since: float | None = None
    listening: Sequence[tuple[int, bool]] | None = None
    while time.monotonic() - since < deadline_s:
        status = ping_status(address) or status if address else None
        if status == OK:
            break
        code = container.exit_code()
        if code is not None:
            return Start(container, time.monotonic() - since, None, code, listening)
        listening = container.listening()
        if status is None and listening and (port, False) not in listening:
            misplaced_since = misplaced_since or time.monotonic()
            patience_s = LOOPBACK_S if (port, True) in listening else OTHER_PORT_S
            if time.monotonic() - misplaced_since > patience_s:
                break
        else:
            misplaced_since = None
        time.sleep(POLL_S)
    return Start(container, time.monotonic() - since, status, None, container.listening())


def ping_status(address: Address) -> int | None:
    """Return the status of a ping, None where none is answered."""
    try:
        return ask(address, "GET", PING_PATH, timeout_s=PING_TIMEOUT_S).status
    except NoAnswerError:
        return None
