"""Put the local SageMaker together: what answers which operation, what begins and what ends with it."""

import asyncio
from functools import partial
from typing import Any

import httpx

from service.local.app import Handler
from service.local.catalogue import Catalogue
from service.local.endpoints import Endpoints
from service.local.fleets import Surroundings
from service.local.instances import Runtime
from service.local.jobs import Workshop
from service.local.resources import Kind, Resources
from service.local.runtime_api import RuntimeApi
from service.local.state import State
from service.local.storage import Storage
from service.local.traffic import Traffic
from service.local.training_jobs import TrainingJobs
from service.local.transform_jobs import TransformJobs

_KEEP_ALIVE_S = 2
"""Shorter than what any server keeps an idle connection open, so that none breaks as it is used again."""


class ControlPlane:
    """Hold all parts of the service."""

    def __init__(self, state: State, runtime: Runtime, *, region: str) -> None:
        """Read what the state holds; nothing is started yet."""
        self._runtime = runtime
        self._resources = Resources(state.resources_dir)
        limits = httpx.Limits(max_connections=None, keepalive_expiry=_KEEP_ALIVE_S)
        self._client = httpx.AsyncClient(limits=limits, timeout=None, trust_env=False)  # noqa: S113  # given at each use
        for name in list(self._client.headers):  # the container sees what SageMaker forwards, and no more
            del self._client.headers[name]
        traffic = Traffic()
        storage = Storage(region)
        logs, client = state.logs_dir, self._client
        self._catalogue = Catalogue(self._resources, storage)
        self._endpoints = Endpoints(
            self._resources,
            traffic,
            Surroundings(runtime, storage, client, state.runs_dir, logs / "endpoints"),
        )
        self._training = TrainingJobs(
            self._resources, Workshop(runtime, storage, client, state.jobs_dir, logs / "training-jobs")
        )
        self._transform = TransformJobs(
            self._resources, Workshop(runtime, storage, client, state.jobs_dir, logs / "transform-jobs")
        )
        self.runtime_api = RuntimeApi(self._resources, traffic, storage, client, default_region=region)

    def handlers(self) -> dict[str, Handler]:
        """Return what answers each operation of the control plane."""
        catalogue, endpoints, training = self._catalogue, self._endpoints, self._training
        handlers: dict[str, Handler] = {
            "CreateModel": catalogue.create_model,
            "DeleteModel": partial(catalogue.delete, Kind.MODEL),
            "CreateEndpointConfig": catalogue.create_endpoint_config,
            "DeleteEndpointConfig": partial(catalogue.delete, Kind.ENDPOINT_CONFIG),
            "CreateEndpoint": endpoints.create,
            "UpdateEndpoint": endpoints.update,
            "UpdateEndpointWeightsAndCapacities": endpoints.update_weights,
            "DeleteEndpoint": endpoints.delete,
            "CreateTrainingJob": training.create,
            "StopTrainingJob": training.jobs.stop,
            "DeleteTrainingJob": training.delete,
            "CreateTransformJob": self._transform.create,
            "StopTransformJob": self._transform.jobs.stop,
            "AddTags": catalogue.add_tags,
            "ListTags": catalogue.list_tags,
            "DeleteTags": catalogue.delete_tags,
        }
        for kind in Kind:
            handlers[f"Describe{kind.prefix}"] = partial(catalogue.describe, kind)
            handlers[f"List{kind.prefix}s"] = partial(catalogue.list, kind)
        return handlers | {"DescribeEndpoint": endpoints.describe}

    def resume(self) -> None:
        """Bring up again what was in service, and say how interrupted jobs ended."""
        self._training.jobs.resume()
        self._transform.jobs.resume()
        self._endpoints.resume()

    async def close(self) -> None:
        """Stop everything; the records remain."""
        # All at once: what one waits for must not give another's pending starts time to go on.
        await asyncio.gather(
            self.runtime_api.close(),
            self._training.jobs.close(),
            self._transform.jobs.close(),
            self._endpoints.close(),
        )
        await self._runtime.close()
        await self._client.aclose()

    def status(self) -> dict[str, Any]:
        """Return every resource with its state, for people."""
        found = [
            {
                "kind": resource.kind.value,
                "name": resource.name,
                "region": resource.region,
                "status": resource.document.get(f"{resource.kind.prefix}Status"),
                "reason": resource.document.get("FailureReason"),
                "created": resource.document["CreationTime"],
            }
            for resource in self._resources
        ]
        return {"resources": sorted(found, key=lambda entry: (entry["kind"], entry["created"]))}
