"""Run training jobs: lay out /opt/ml, run the image with `train`, pack and store the model (C73 to C86)."""

import asyncio
import contextlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any, Final

from service.local.caller import Caller
from service.local.faults import ApiError, LaunchError, StorageError, not_emulated
from service.local.instances import Instance, Launch, Role, wait_for_exit
from service.local.jobs import COMPLETED, FAILED, IN_PROGRESS, STOPPED, Jobs, Workshop
from service.local.resources import Kind, Resource, Resources
from service.local.storage import ARCHIVE_SUFFIX, join, pack

STOP_GRACE_S: Final = 120
"""C81: from SIGTERM to SIGKILL."""

FAILURE_CHARACTERS: Final = 1024
"""C80: what becomes FailureReason."""

DEFAULT_RUNTIME_S: Final = 24 * 3600
"""Source: SageMaker API reference, StoppingCondition."""

_CREATE: Final = "CreateTrainingJob"
_HOST: Final = "algo-1"
_MODES: Final = {"File", "FastFile"}
_MESSAGES: Final = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Stopping": "Stopping the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds",
}

Document = dict[str, Any]


class TrainingJobs:
    """Answer the operations on training jobs."""

    def __init__(self, resources: Resources, workshop: Workshop) -> None:
        """Keep records in `resources`."""
        self.jobs = Jobs(Kind.TRAINING_JOB, resources)
        self._resources = resources
        self._workshop = workshop

    async def create(self, caller: Caller, request: Document) -> Document:
        """Begin a job."""
        _check(request)
        job = self._resources.create(Kind.TRAINING_JOB, region=caller.region, document=request)
        self._resources.touch(job, TrainingJobStatus=IN_PROGRESS)
        self._move(job, "Starting")
        self.jobs.begin(job, self._run(job))
        return job.document

    async def delete(self, caller: Caller, request: Document) -> Document:
        """Take the record of a job that has ended away; what it stored stays."""
        job = self._resources.get(Kind.TRAINING_JOB, region=caller.region, name=request["TrainingJobName"])
        if job.status in {IN_PROGRESS, "Stopping"}:
            raise ApiError(
                f"Cannot delete training job {job.name}: it is {job.status}.", code="ResourceInUse"
            )
        self._resources.remove(job)
        return {}

    async def _run(self, job: Resource) -> None:
        tree = self._workshop.jobs_dir / f"{job.name}-{job.uid}" / "ml"
        try:
            self._move(job, "Downloading")
            await asyncio.to_thread(self._lay_out, job, tree)
            self._move(job, "Training", TrainingStartTime=time.time())
            code, stopped_by = await self._train(job, tree)
            await self._conclude(job, tree, code=code, stopped_by=stopped_by)
        except (LaunchError, StorageError) as exc:
            self._end(job, FAILED, f"ClientError: {exc}")
        finally:
            await asyncio.to_thread(shutil.rmtree, tree.parent, ignore_errors=True)

    def _lay_out(self, job: Resource, tree: Path) -> None:
        """Make the tree of the contract (C75 to C79); blocks."""
        config = tree / "input" / "config"
        for folder in (config, tree / "input" / "data", tree / "model", tree / "output" / "data"):
            folder.mkdir(parents=True, exist_ok=True)
        channels = job.document.get("InputDataConfig") or []
        resources = job.document["ResourceConfig"]
        _write(config / "hyperparameters.json", job.document.get("HyperParameters") or {})
        _write(
            config / "inputdataconfig.json",
            {channel["ChannelName"]: _describe(channel, job) for channel in channels},
        )
        _write(
            config / "resourceconfig.json",
            {
                "current_host": _HOST,
                "hosts": [_HOST],
                "current_instance_type": resources.get("InstanceType", "local"),
                "current_group_name": "homogeneousCluster",
                "instance_groups": [
                    {
                        "instance_group_name": "homogeneousCluster",
                        "instance_type": resources.get("InstanceType", "local"),
                        "hosts": [_HOST],
                    }
                ],
                "network_interface_name": "eth0",
                "topology": None,
            },
        )
        for channel in channels:
            self._download(channel, tree / "input" / "data" / channel["ChannelName"])

    def _download(self, channel: Document, folder: Path) -> None:
        url = channel["DataSource"]["S3DataSource"]["S3Uri"]
        folder.mkdir(parents=True, exist_ok=True)
        found = self._workshop.storage.list(url)
        if not found:
            raise StorageError(f"Data download failed: no object was found under {url}")
        for entry in found:
            target = (folder / entry.relative).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise StorageError(f"the object {entry.relative!r} would leave its channel's folder")
            self._workshop.storage.fetch(entry.url, target)

    async def _train(self, job: Resource, tree: Path) -> tuple[int, str | None]:
        """Run the image; return its exit code and what stopped it, None where nothing did."""
        instance = await self._workshop.runtime.start(
            Launch(
                name=f"train-{job.name[:40]}-{job.uid}",
                image=job.document["AlgorithmSpecification"]["TrainingImage"],
                role=Role.TRAIN,
                tree=tree,
                log_path=self.log_path(job),
                environment={
                    **(job.document.get("Environment") or {}),
                    "TRAINING_JOB_NAME": job.name,
                    "TRAINING_JOB_ARN": job.arn,
                },
                is_isolated=bool(job.document.get("EnableNetworkIsolation")),
            )
        )
        limit_s = (job.document.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_S)
        try:
            stopped_by = await _wait(instance, self.jobs.stop_event(job), limit_s=limit_s)
            if stopped_by == "Stopped":
                self._move(job, "Stopping")
        finally:
            code = await instance.stop(grace_s=STOP_GRACE_S)
        return code, stopped_by

    async def _conclude(self, job: Resource, tree: Path, *, code: int, stopped_by: str | None) -> None:
        """Store what the job has left, and say how it ended."""
        job.document["TrainingEndTime"] = time.time()
        self._move(job, "Uploading")
        output = join(job.document["OutputDataConfig"]["S3OutputPath"], job.name, "output")
        metrics = _read_metrics(
            self.log_path(job), job.document["AlgorithmSpecification"].get("MetricDefinitions")
        )
        is_model_wanted = code == 0 or stopped_by is not None
        members: Document = {"FinalMetricDataList": metrics or None}
        store = asyncio.to_thread
        await store(self._upload, tree / "output" / "data", join(output, f"output{ARCHIVE_SUFFIX}"))
        model_url = join(output, f"model{ARCHIVE_SUFFIX}")
        if is_model_wanted and await store(self._upload, tree / "model", model_url):
            members["ModelArtifacts"] = {"S3ModelArtifacts": model_url}
        if stopped_by is not None:
            self._end(job, STOPPED, None, secondary=stopped_by, **members)
        elif code == 0:
            self._end(job, COMPLETED, None, **members)
        else:
            self._end(job, FAILED, f"AlgorithmError: {_read_failure(tree)}, exit code: {code}", **members)

    def _upload(self, folder: Path, url: str) -> bool:
        archive = folder.parent / f"{folder.name}-packed{ARCHIVE_SUFFIX}"
        if not pack(folder, archive):
            return False
        self._workshop.storage.store(archive, url)
        return True

    def log_path(self, job: Resource) -> Path:
        """Return where a job's log is, also after its end."""
        return self._workshop.logs_dir / f"{job.name}-{job.uid}.log"

    def _move(self, job: Resource, secondary: str, **members: Any) -> None:
        """Enter a secondary status; the one before it ends."""
        now = time.time()
        moves = job.document.setdefault("SecondaryStatusTransitions", [])
        if moves:
            moves[-1]["EndTime"] = now
        moves.append({"Status": secondary, "StartTime": now, "StatusMessage": _MESSAGES[secondary]})
        self._resources.touch(job, SecondaryStatus=secondary, **members)

    def _end(
        self, job: Resource, status: str, reason: str | None, *, secondary: str | None = None, **members: Any
    ) -> None:
        self._move(job, secondary or status)
        start, end = job.document.get("TrainingStartTime"), job.document.get("TrainingEndTime")
        if start is not None and end is not None:
            members["TrainingTimeInSeconds"] = max(round(end - start), 1)
        self.jobs.end(job, status, reason, **members)


def _check(request: Document) -> None:
    """Refuse what this service would do otherwise than AWS."""
    algorithm = request["AlgorithmSpecification"]
    if not algorithm.get("TrainingImage"):
        raise not_emulated("AlgorithmSpecification without TrainingImage", _CREATE)
    for member in ("ContainerEntrypoint", "ContainerArguments"):
        if algorithm.get(member):
            raise not_emulated(f"AlgorithmSpecification.{member}", _CREATE)
    if request["ResourceConfig"].get("InstanceCount", 1) != 1 or request["ResourceConfig"].get(
        "InstanceGroups"
    ):
        raise not_emulated("a ResourceConfig of several instances", _CREATE)
    for channel in request.get("InputDataConfig") or []:
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise not_emulated("a DataSource other than S3DataSource", _CREATE)
        if source["S3DataType"] != "S3Prefix":
            raise not_emulated(f"S3DataType {source['S3DataType']}", _CREATE)
        mode = channel.get("InputMode") or algorithm["TrainingInputMode"]
        if mode not in _MODES:
            raise not_emulated(f"input mode {mode}", _CREATE)


def _describe(channel: Document, job: Resource) -> Document:
    """Return a channel's entry of inputdataconfig.json (C76)."""
    source = channel["DataSource"]["S3DataSource"]
    described = {
        "ContentType": channel.get("ContentType"),
        "TrainingInputMode": channel.get("InputMode")
        or job.document["AlgorithmSpecification"]["TrainingInputMode"],
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return {name: value for name, value in described.items() if value is not None}


async def _wait(instance: Instance, stop: asyncio.Event, *, limit_s: float) -> str | None:
    """Wait for the end of a job, for a request to stop it, or for its time to be over."""
    ended = asyncio.create_task(wait_for_exit(instance, timeout_s=limit_s))
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return "MaxRuntimeExceeded" if ended.result() is None else None
        return "Stopped"
    finally:
        for task in (ended, asked):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _read_failure(tree: Path) -> str:
    """Return the beginning of the failure file, which is the container's own account (C80)."""
    path = tree / "output" / "failure"
    text = path.read_text(errors="replace")[:FAILURE_CHARACTERS].strip() if path.is_file() else ""
    return text or "the container wrote no failure file; its log tells more"


def _read_metrics(log_path: Path, definitions: list[Document] | None) -> list[Document]:
    """Return the last value of each metric that the log holds (C83)."""
    if not definitions or not log_path.is_file():
        return []
    log = log_path.read_text(errors="replace")
    metrics = []
    for definition in definitions:
        try:
            values = re.findall(definition["Regex"], log, re.MULTILINE)
            value = float(values[-1] if isinstance(values[-1], str) else values[-1][0])
        except (re.error, IndexError, ValueError):
            continue
        metrics.append(
            {"MetricName": definition["Name"], "Value": value, "Timestamp": log_path.stat().st_mtime}
        )
    return metrics


def _write(path: Path, document: Document) -> None:
    path.write_text(json.dumps(document))
