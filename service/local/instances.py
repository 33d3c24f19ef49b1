"""Start what SageMaker would start on an instance: `serve` or `train` of an image."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol


class Role(Enum):
    """Name what the container is started for: its one argument (C1, C73)."""

    SERVE = "serve"
    TRAIN = "train"


@dataclass(frozen=True, slots=True)
class Launch:
    """Say what to start."""

    name: str
    """Unique among all that run; letters, digits and hyphens."""
    image: str
    role: Role
    tree: Path
    """Becomes /opt/ml: all of it for `train`; for `serve` its model folder, read-only (C34)."""
    log_path: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    is_isolated: bool = False


class Instance(Protocol):
    """Be a running container, or a process in its stead."""

    url: str
    """Where it serves; empty for `train`."""
    in_flight: int
    """Invocations that it has not answered yet."""

    async def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""

    async def stop(self, *, grace_s: float) -> int:
        """Ask it to end, insist after the grace; return its exit code. One that has ended stays so."""


class Runtime(Protocol):
    """Be a way to start instances."""

    async def start(self, launch: Launch) -> Instance:
        """Start an instance.

        Raises:
            LaunchError: It cannot be started.
        """

    async def close(self) -> None:
        """Let go of what the runtime holds; nothing that it has started remains."""


async def wait_for_exit(instance: Instance, *, timeout_s: float | None, poll_s: float = 0.2) -> int | None:
    """Return the exit code, None when the time is over before."""
    try:
        async with asyncio.timeout(timeout_s):
            while (code := await instance.exit_code()) is None:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(poll_s)
            return code
    except TimeoutError:
        return None
