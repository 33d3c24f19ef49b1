"""Start the installed package as a process, where there is no Docker engine."""

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Final

import service
from service.contract import BIND_TO_PORT
from service.local import guardian
from service.local.faults import LaunchError
from service.local.instances import Instance, Launch, Role

_LOOPBACK: Final = "127.0.0.1"
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")
"""C39: SageMaker promises nothing of the environment; this much a process needs."""


class ProcessInstance:
    """Be a process under a guardian, which ends it should this process be killed."""

    def __init__(self, process: asyncio.subprocess.Process, *, url: str) -> None:
        """Watch over the guardian."""
        self._process = process
        self.url = url
        self.in_flight = 0

    async def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.returncode

    async def stop(self, *, grace_s: float) -> int:
        """End the process and all that it has started."""
        stdin = self._process.stdin
        if self._process.returncode is None and stdin is not None and not stdin.is_closing():
            with contextlib.suppress(ConnectionError):
                stdin.write(str(grace_s).encode())
                await stdin.drain()
                stdin.close()
        return await self._process.wait()


class ProcessRuntime:
    """Start `python -m service`, whatever image is asked for."""

    async def start(self, launch: Launch) -> Instance:
        """Start an instance with its own tree in the place of /opt/ml."""
        port = _free_port() if launch.role is Role.SERVE else None
        launch.log_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with launch.log_path.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *_command(launch),
                    cwd=launch.tree,
                    env=_environment(launch, port=port),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as exc:
            raise LaunchError(f"the process cannot be started: {exc}") from exc
        return ProcessInstance(process, url=f"http://{_LOOPBACK}:{port}" if port else "")

    async def close(self) -> None:
        """Have nothing to let go of: each process has its guardian."""


def _command(launch: Launch) -> list[str]:
    guarded = [sys.executable, "-P", "-m", "service", launch.role.value]
    return [sys.executable, "-I", "-S", guardian.__file__, *guarded]


def _environment(launch: Launch, *, port: int | None) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {
        "PYTHONUNBUFFERED": "1",
        # Where the package is found also when it is not installed but run from its source.
        "PYTHONPATH": str(Path(service.__file__).parents[1]),
        "SERVICE_STORE": str(launch.tree / "models"),
        **launch.environment,
        "SERVICE_PREFIX": str(launch.tree),
    }
    if port is not None:
        environment |= {BIND_TO_PORT: str(port), "SERVICE_HOST": _LOOPBACK}
    return environment


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
