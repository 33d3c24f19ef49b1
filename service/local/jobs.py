"""Run jobs as tasks, and see to it that each of them ends in a state that says how."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from service.local.caller import Caller
from service.local.faults import ApiError
from service.local.instances import Runtime
from service.local.resources import Kind, Resource, Resources
from service.local.storage import Storage

IN_PROGRESS: Final = "InProgress"
STOPPING: Final = "Stopping"
STOPPED: Final = "Stopped"
COMPLETED: Final = "Completed"
FAILED: Final = "Failed"
_INTERRUPTED: Final = "InternalServerError: segserve local was stopped while the job ran"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Hold what jobs need of the service."""

    runtime: Runtime
    storage: Storage
    client: httpx.AsyncClient
    jobs_dir: Path
    logs_dir: Path


class Jobs:
    """Run the jobs of one kind."""

    def __init__(self, kind: Kind, resources: Resources) -> None:
        """Keep records in `resources`."""
        self._kind = kind
        self._resources = resources
        self._stops: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Say of jobs that were running when this service was stopped how they ended."""
        for job in self._resources:
            if job.kind is self._kind and job.status in {IN_PROGRESS, STOPPING}:
                self.end(job, FAILED if job.status == IN_PROGRESS else STOPPED, _INTERRUPTED)

    def begin(self, job: Resource, work: Coroutine[Any, Any, None]) -> asyncio.Event:
        """Run a job's work; return the event that asks it to stop."""
        task = asyncio.create_task(self._finish(job, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self.stop_event(job)

    def stop_event(self, job: Resource) -> asyncio.Event:
        """Return the event that asks a job to stop."""
        return self._stops.setdefault(job.uid, asyncio.Event())

    async def stop(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Ask a job to stop.

        Raises:
            ApiError: It is not running.
        """
        name = request[f"{self._kind.prefix}Name"]
        job = self._resources.get(self._kind, region=caller.region, name=name)
        if job.status not in {IN_PROGRESS, STOPPING}:
            raise ApiError(
                f"The request was rejected because the {self._kind.noun} is in status {job.status}."
            )
        self._resources.touch(job, **{f"{self._kind.prefix}Status": STOPPING})
        self.stop_event(job).set()
        return {}

    def end(self, job: Resource, status: str, reason: str | None = None, **members: Any) -> None:
        """Record how a job has ended."""
        prefix = self._kind.prefix
        self._resources.touch(job, **{f"{prefix}Status": status}, FailureReason=reason, **members)
        _logger.info("Job ended kind=%s name=%s status=%s", self._kind.value, job.name, status)

    async def close(self) -> None:
        """End all jobs; how is recorded at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _finish(self, job: Resource, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as exc:
            _logger.exception("A job failed kind=%s name=%s", self._kind.value, job.name)
            self.end(job, FAILED, f"InternalServerError: {type(exc).__name__}; the log has the trace")
        finally:
            self._stops.pop(job.uid, None)
