"""Run the instances of an endpoint's variants, and choose the one that answers."""

import asyncio
import contextlib
import logging
import random
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from service.contract import INVOCATION_TIMEOUT_S, PING_PATH, STOP_GRACE_S
from service.local.faults import ApiError, LaunchError
from service.local.instances import Instance, Launch, Role, Runtime
from service.local.model_data import lay_out
from service.local.storage import Storage
from service.local.together import all_of

START_TIMEOUT_S: Final = 480
"""C16: /ping must answer within 8 minutes, unless the variant says otherwise."""

SERVERLESS_START_TIMEOUT_S: Final = 180
"""C16: and within 3 minutes on a serverless endpoint."""

PING_TIMEOUT_S: Final = 2
"""C14."""

_POLL_S: Final = 0.1
_WATCH_S: Final = 1.0

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Variant:
    """Hold a production variant and what runs for it."""

    name: str
    weight: float
    count: int
    container: Mapping[str, Any]
    start_timeout_s: float
    is_serverless: bool = False
    instances: list[Instance] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Hold what a fleet needs of the service."""

    runtime: Runtime
    storage: Storage
    client: httpx.AsyncClient
    runs_dir: Path
    logs_dir: Path


class Fleet:
    """Run all variants of one endpoint configuration; replaced as a whole by an update."""

    def __init__(self, endpoint: str, plan: Sequence[Mapping[str, Any]], around: Surroundings) -> None:
        """Prepare what a plan asks for; nothing runs yet."""
        self.id = uuid.uuid4().hex[:8]
        self._endpoint = endpoint
        self._around = around
        self._tree = around.runs_dir / f"{endpoint}-{self.id}"
        self._watcher: asyncio.Task[None] | None = None
        self._running: list[Instance] = []
        self._changing = asyncio.Lock()
        self.variants = {entry["name"]: Variant(**entry) for entry in plan}

    async def start(self) -> None:
        """Bring every instance of every variant into service.

        Raises:
            LaunchError: One of them does not come up; none is left running.
        """
        try:
            await all_of(self._bring_up(variant) for variant in self.variants.values())
        except BaseException:
            await self.stop()
            raise
        self._watcher = asyncio.create_task(self._watch())

    async def scale(self, name: str, count: int) -> None:
        """Change the number of a variant's instances; those that go finish what they have begun."""
        variant = self.variants[name]
        async with self._changing:
            leaving = variant.instances[count:]
            variant.instances = variant.instances[:count]
            missing = count - len(variant.instances)
            variant.instances += await all_of(self._launch(variant) for _ in range(missing))
            variant.count = count
        await asyncio.gather(*(self._end(instance) for instance in leaving))

    @contextlib.contextmanager
    def lease(self, target_variant: str | None) -> Iterator[tuple[Variant, Instance]]:
        """Choose a variant by weight and its least busy instance, and keep that from being stopped.

        Raises:
            ApiError: There is no such variant, or none to choose.
        """
        variant = self._choose(target_variant)
        if not variant.instances:
            raise ApiError("no instance of the variant is in service", code="ServiceUnavailable", status=503)
        instance = min(variant.instances, key=lambda candidate: candidate.in_flight)
        instance.in_flight += 1
        try:
            yield variant, instance
        finally:
            instance.in_flight -= 1

    async def stop(self) -> None:
        """Let every instance finish what it has begun, then end it."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await asyncio.gather(*(self._end(instance) for instance in list(self._running)))
        await asyncio.to_thread(shutil.rmtree, self._tree, ignore_errors=True)

    def log_dir(self, variant: str) -> Path:
        """Return the folder of a variant's logs, which outlive it."""
        return self._around.logs_dir / self._endpoint / variant

    def _choose(self, target: str | None) -> Variant:
        if target is not None:
            if target not in self.variants:
                raise ApiError(
                    f"Variant {target} not found for endpoint {self._endpoint}.", code="ValidationError"
                )
            return self.variants[target]
        variants = list(self.variants.values())
        weights = [variant.weight for variant in variants]
        if not any(weights):
            raise ApiError("every variant of the endpoint has weight 0", code="ValidationError")
        return random.choices(variants, weights)[0]  # noqa: S311  # spreads load, keeps no secret

    async def _bring_up(self, variant: Variant) -> None:
        tree = self._tree / variant.name
        await asyncio.to_thread(lay_out, variant.container, tree, self._around.storage)
        variant.instances = await all_of(self._launch(variant) for _ in range(variant.count))

    async def _launch(self, variant: Variant) -> Instance:
        """Start an instance and wait until it answers a ping."""
        number = uuid.uuid4().hex[:8]
        log_path = self.log_dir(variant.name) / f"{self.id}-{number}.log"
        instance = await self._around.runtime.start(
            Launch(
                name=f"{self._endpoint}-{variant.name}-{number}",
                image=variant.container["Image"],
                role=Role.SERVE,
                tree=self._tree / variant.name,
                log_path=log_path,
                environment=variant.container.get("Environment") or {},
            )
        )
        self._running.append(instance)
        why_not = await wait_until_healthy(instance, self._around.client, timeout_s=variant.start_timeout_s)
        if why_not is None:
            return instance
        await self._end(instance)
        raise LaunchError(
            f"The primary container for production variant {variant.name} did not pass the ping health check "
            f"({why_not}). Please check the logs for this endpoint: {log_path}"
        )

    async def _watch(self) -> None:
        """Replace instances that have ended by themselves, as SageMaker does."""
        while True:
            await asyncio.sleep(_WATCH_S)
            async with self._changing:
                for variant in self.variants.values():
                    try:
                        await self._mend(variant)
                    except Exception as exc:
                        if not isinstance(exc, LaunchError):
                            _logger.exception("Watching failed endpoint=%s", self._endpoint)
                        _logger.warning("Instance not replaced endpoint=%s error=%s", self._endpoint, exc)

    async def _mend(self, variant: Variant) -> None:
        for instance in list(variant.instances):
            if await instance.exit_code() is not None:
                _logger.warning("Instance ended endpoint=%s variant=%s", self._endpoint, variant.name)
                variant.instances.remove(instance)
                await self._end(instance)
        while len(variant.instances) < variant.count:
            variant.instances.append(await self._launch(variant))

    async def _end(self, instance: Instance) -> None:
        """Let an instance finish what it has begun, then end it."""
        end = time.monotonic() + INVOCATION_TIMEOUT_S
        while instance.in_flight and time.monotonic() < end and await instance.exit_code() is None:  # noqa: ASYNC110  # several ends
            await asyncio.sleep(_POLL_S)
        await instance.stop(grace_s=STOP_GRACE_S)
        with contextlib.suppress(ValueError):  # a stop may end the same one meanwhile
            self._running.remove(instance)


async def wait_until_healthy(
    instance: Instance, client: httpx.AsyncClient, *, timeout_s: float
) -> str | None:
    """Ping until the answer is 200; return what was wrong, None when all is well."""
    end = time.monotonic() + timeout_s
    while True:
        code = await instance.exit_code()
        if code is not None:
            return f"it ended with exit code {code}"
        try:
            answer = await client.get(f"{instance.url}{PING_PATH}", timeout=PING_TIMEOUT_S)
            if answer.status_code == 200:
                return None
            state = f"/ping answered {answer.status_code}"
        except httpx.TransportError:
            state = "/ping did not answer"
        if time.monotonic() > end:
            return f"{state} for {timeout_s:g} s"
        await asyncio.sleep(_POLL_S)
