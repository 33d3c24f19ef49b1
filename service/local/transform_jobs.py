"""Run batch transform jobs: start the model, split objects, post the parts, assemble the answers."""

import asyncio
import contextlib
import gzip
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from service.contract import (
    BATCH_DEFAULT_PAYLOAD_MB,
    BATCH_PAYLOAD_BUDGET_MB,
    EXECUTION_PARAMETERS_PATH,
    INVOCATIONS_PATH,
    MAX_ERROR_BYTES,
)
from service.contract import STOP_GRACE_S as SERVE_GRACE_S
from service.local.caller import Caller
from service.local.faults import ApiError, LaunchError, StorageError, not_emulated
from service.local.fleets import START_TIMEOUT_S, wait_until_healthy
from service.local.instances import Instance, Launch, Role
from service.local.jobs import COMPLETED, FAILED, IN_PROGRESS, STOPPED, Jobs, Workshop
from service.local.model_data import find_container, lay_out
from service.local.resources import Kind, Resource, Resources
from service.local.splitting import assemble, split
from service.local.storage import StoredObject, join
from service.local.together import all_of

DEFAULT_TIMEOUT_S: Final = 600
"""C50: of an invocation. Source: SageMaker API reference, ModelClientConfig."""

DEFAULT_RETRIES: Final = 3
"""C50. Source: as above."""

_CREATE: Final = "CreateTransformJob"
_MULTI_RECORD: Final = {"MULTI_RECORD", "MultiRecord"}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manner:
    """Say how a job posts; what the request leaves open, the container may say (C48)."""

    concurrency: int
    is_multi_record: bool
    max_bytes: int
    timeout_s: float
    retries: int


class TransformJobs:
    """Answer the operations on transform jobs."""

    def __init__(self, resources: Resources, workshop: Workshop) -> None:
        """Keep records in `resources`."""
        self.jobs = Jobs(Kind.TRANSFORM_JOB, resources)
        self._resources = resources
        self._workshop = workshop

    async def create(self, caller: Caller, request: Document) -> Document:
        """Begin a job."""
        _check(request)
        model = self._resources.get(Kind.MODEL, region=caller.region, name=request["ModelName"])
        container = find_container(model.document)
        job = self._resources.create(Kind.TRANSFORM_JOB, region=caller.region, document=request)
        self._resources.touch(job, TransformJobStatus=IN_PROGRESS)
        self.jobs.begin(job, self._run(job, container))
        return job.document

    async def _run(self, job: Resource, container: Mapping[str, Any]) -> None:
        tree = self._workshop.jobs_dir / f"{job.name}-{job.uid}" / "ml"
        work = asyncio.create_task(self._transform(job, container, tree))
        stop = asyncio.create_task(self.jobs.stop_event(job).wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.jobs.end(job, STOPPED, TransformEndTime=time.time())
                return
            problems = work.result()
            reason = f"ClientError: {problems[0]}" if problems else None
            self.jobs.end(job, FAILED if problems else COMPLETED, reason, TransformEndTime=time.time())
        except (LaunchError, StorageError) as exc:
            self.jobs.end(job, FAILED, f"ClientError: {exc}", TransformEndTime=time.time())
        finally:
            for task in (work, stop):
                task.cancel()
            await asyncio.wait({work, stop})
            await asyncio.to_thread(shutil.rmtree, tree.parent, ignore_errors=True)

    async def _transform(self, job: Resource, container: Mapping[str, Any], tree: Path) -> list[str]:
        """Transform every object; return what was wrong with those that have no output."""
        source = job.document["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        found = await asyncio.to_thread(self._workshop.storage.list, source)
        if not found:
            raise StorageError(f"No S3 objects found under S3 URL {source!r} given in input data source.")
        await asyncio.to_thread(lay_out, container, tree, self._workshop.storage)
        instance = await self._workshop.runtime.start(
            Launch(
                name=f"transform-{job.name[:40]}-{job.uid}",
                image=container["Image"],
                role=Role.SERVE,
                tree=tree,
                log_path=self._workshop.logs_dir / f"{job.name}-{job.uid}.log",
                environment={**(container.get("Environment") or {}), **_batch_environment(job.document)},
            )
        )
        try:
            why_not = await wait_until_healthy(instance, self._workshop.client, timeout_s=START_TIMEOUT_S)
            if why_not is not None:
                raise LaunchError(f"The model did not pass the ping health check ({why_not})")
            self._resources.touch(job, TransformStartTime=time.time())
            manner = await self._agree(job, instance)
            problems = [await self._transform_object(job, entry, instance, manner) for entry in found]
            return [problem for problem in problems if problem is not None]
        finally:
            await asyncio.shield(instance.stop(grace_s=SERVE_GRACE_S))

    async def _agree(self, job: Resource, instance: Instance) -> Manner:
        """Ask the container for what the request leaves open; it need not answer."""
        proposed: Document = {}
        with contextlib.suppress(httpx.TransportError, ValueError):
            answer = await self._workshop.client.get(f"{instance.url}{EXECUTION_PARAMETERS_PATH}", timeout=5)
            if answer.status_code == 200 and isinstance(answer.json(), dict):
                proposed = answer.json()
        wanted = job.document
        patience = wanted.get("ModelClientConfig") or {}
        payload_mb = wanted.get("MaxPayloadInMB", proposed.get("MaxPayloadInMB"))
        concurrency = wanted.get("MaxConcurrentTransforms") or proposed.get("MaxConcurrentTransforms") or 1
        strategy = wanted.get("BatchStrategy") or proposed.get("BatchStrategy") or "MultiRecord"
        return Manner(
            concurrency=int(concurrency),
            is_multi_record=strategy in _MULTI_RECORD,
            max_bytes=int(BATCH_DEFAULT_PAYLOAD_MB if payload_mb is None else payload_mb) * 2**20,
            timeout_s=patience.get("InvocationsTimeoutInSeconds", DEFAULT_TIMEOUT_S),
            retries=patience.get("InvocationsMaxRetries", DEFAULT_RETRIES),
        )

    async def _transform_object(
        self, job: Resource, entry: StoredObject, instance: Instance, manner: Manner
    ) -> str | None:
        """Write the output of one object; or return what was wrong, and write none (C53)."""
        folder = self._workshop.jobs_dir / f"{job.name}-{job.uid}"
        described = job.document["TransformInput"]
        wanted = job.document["TransformOutput"]
        try:
            content = await asyncio.to_thread(
                self._read, entry, folder, described.get("CompressionType", "None")
            )
            payloads = list(
                split(
                    content,
                    by_line=described.get("SplitType", "None") == "Line",
                    is_multi_record=manner.is_multi_record,
                    max_bytes=manner.max_bytes,
                )
            )
            headers = {"Content-Type": described.get("ContentType"), "Accept": wanted.get("Accept")}
            kept = {name: value for name, value in headers.items() if value}
            places = asyncio.Semaphore(manner.concurrency)
            answers = await all_of(
                self._post(instance, payload, kept, manner, places) for payload in payloads
            )
        except StorageError as exc:
            return f"{entry.relative}: {exc}"
        output = assemble(answers, by_line=wanted.get("AssembleWith", "None") == "Line")
        path = folder / "assembled"
        await asyncio.to_thread(path.write_bytes, output)
        target = join(wanted["S3OutputPath"], f"{entry.relative}.out")
        await asyncio.to_thread(self._workshop.storage.store, path, target)
        return None

    def _read(self, entry: StoredObject, folder: Path, compression: str) -> bytes:
        path = folder / "object"
        self._workshop.storage.fetch(entry.url, path)
        try:
            content = path.read_bytes()
            return gzip.decompress(content) if compression == "Gzip" else content
        except (OSError, EOFError) as exc:
            raise StorageError(f"it cannot be decompressed ({exc})") from exc

    async def _post(
        self,
        instance: Instance,
        payload: bytes,
        headers: Mapping[str, str],
        manner: Manner,
        places: asyncio.Semaphore,
    ) -> bytes:
        """Return the container's answer to a payload, after as many retries as the job allows."""
        url = f"{instance.url}{INVOCATIONS_PATH}"
        problem = ""
        async with places:
            for _ in range(manner.retries + 1):
                try:
                    answer = await self._workshop.client.post(
                        url, content=payload, headers=dict(headers), timeout=manner.timeout_s
                    )
                except httpx.TransportError as exc:
                    problem = f"the container did not answer ({type(exc).__name__})"
                    continue
                if answer.status_code < 400:
                    return answer.content
                problem = f"the container answered {answer.status_code}: {answer.text[:MAX_ERROR_BYTES]}"
                if answer.status_code < 500:
                    break  # the same payload is as wrong the next time
        raise StorageError(problem)


def _check(request: Document) -> None:
    """Refuse what this service would do otherwise than AWS."""
    described = request["TransformInput"]
    source = described["DataSource"]["S3DataSource"]
    if source["S3DataType"] != "S3Prefix":
        raise not_emulated(f"S3DataType {source['S3DataType']}", _CREATE)
    if described.get("SplitType", "None") not in {"None", "Line"}:
        raise not_emulated(f"SplitType {described['SplitType']}", _CREATE)
    budget_mb = request.get("MaxConcurrentTransforms", 1) * request.get("MaxPayloadInMB", 0)
    if budget_mb > BATCH_PAYLOAD_BUDGET_MB:
        raise ApiError(
            f"MaxConcurrentTransforms * MaxPayloadInMB is {budget_mb}, "
            f"and must be at most {BATCH_PAYLOAD_BUDGET_MB}"
        )


def _batch_environment(request: Document) -> dict[str, str]:
    """Return what tells the container that this is a batch job (C47)."""
    environment = dict(request.get("Environment") or {}) | {"SAGEMAKER_BATCH": "true"}
    if "MaxPayloadInMB" in request:
        environment["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(request["MaxPayloadInMB"])
    if "BatchStrategy" in request:
        is_multi = request["BatchStrategy"] in _MULTI_RECORD
        environment["SAGEMAKER_BATCH_STRATEGY"] = "MULTI_RECORD" if is_multi else "SINGLE_RECORD"
    if "MaxConcurrentTransforms" in request:
        environment["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(request["MaxConcurrentTransforms"])
    return environment
