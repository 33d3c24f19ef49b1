"""Lead endpoints through their life: Creating, InService, Updating, RollingBack, Failed, Deleting."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from service.local.caller import Caller
from service.local.faults import ApiError, LaunchError
from service.local.fleets import Fleet, Surroundings
from service.local.plans import Plan, check_instances, describe_variants, make_plan, retain
from service.local.resources import Kind, Resource, Resources
from service.local.traffic import Traffic
from service.local.updates import check_deployment, shift

IN_SERVICE: Final = "InService"
FAILED: Final = "Failed"
_MOVING: Final = {"Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting"}

_logger = logging.getLogger(__name__)

Document = dict[str, Any]


class Endpoints:
    """Bring endpoints into service and out of it; whatever takes time is done by a task."""

    def __init__(self, resources: Resources, traffic: Traffic, around: Surroundings) -> None:
        """Keep records in `resources`, and lead invocations by `traffic`."""
        self._resources = resources
        self._traffic = traffic
        self._around = around
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Bring up again what was there before this service was stopped, whatever it was doing."""
        for endpoint in self._resources:
            if endpoint.kind is not Kind.ENDPOINT:
                continue
            match endpoint.status:
                case "Deleting":
                    self._resources.remove(endpoint)
                case "Creating":
                    self._do(endpoint, self._create(endpoint))
                case "Failed":
                    continue
                case status:
                    if status in {"Updating", "RollingBack"}:
                        reason = "The update was interrupted: segserve local was stopped meanwhile"
                        self._resources.touch(endpoint, FailureReason=reason)
                    self._resources.touch(
                        endpoint, EndpointStatus="SystemUpdating", PendingDeploymentSummary=None
                    )
                    self._do(endpoint, self._create(endpoint))

    async def close(self) -> None:
        """Stop all that runs; the records stay as they are, for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(fleet.stop() for fleet in self._traffic.fleets()))

    async def create(self, caller: Caller, request: Document) -> Document:
        """Begin to bring an endpoint into service."""
        check_deployment(request.get("DeploymentConfig"))
        configuration = self._configuration(caller, request["EndpointConfigName"])
        plan = make_plan(configuration, self._resources)
        check_instances(entry["count"] for entry in plan)
        endpoint = self._resources.create(Kind.ENDPOINT, region=caller.region, document=request)
        endpoint.document["LastDeploymentConfig"] = endpoint.document.pop("DeploymentConfig", None)
        endpoint.plan = {"variants": plan}
        self._resources.touch(
            endpoint,
            EndpointStatus="Creating",
            AsyncInferenceConfig=configuration.document.get("AsyncInferenceConfig"),
        )
        self._do(endpoint, self._create(endpoint))
        return endpoint.document

    async def describe(self, caller: Caller, request: Document) -> Document:
        """Describe an endpoint with its variants as they are now."""
        endpoint = self._get(caller, request)
        is_running = self._traffic.get(endpoint.arn) is not None
        plan: Plan = endpoint.plan["variants"]
        if endpoint.status == FAILED:
            return endpoint.document
        return endpoint.document | {"ProductionVariants": describe_variants(plan, is_running=is_running)}

    async def update(self, caller: Caller, request: Document) -> Document:
        """Begin to replace an endpoint's fleet by one of another configuration."""
        check_deployment(request.get("DeploymentConfig"))
        endpoint = self._settled(caller, request, "update")
        configuration = self._configuration(caller, request["EndpointConfigName"])
        plan = make_plan(configuration, self._resources)
        if request.get("RetainAllVariantProperties"):
            excluded = {
                entry["VariantPropertyType"]
                for entry in request.get("ExcludeRetainedVariantProperties") or []
            }
            retain(plan, endpoint.plan["variants"], excluded=excluded)
        check_instances(entry["count"] for entry in plan)
        deployment = request.get("DeploymentConfig")
        if deployment is None and request.get("RetainDeploymentConfig"):
            deployment = endpoint.document.get("LastDeploymentConfig")
        pending = {
            "EndpointConfigName": configuration.name,
            "ProductionVariants": [{"VariantName": entry["name"]} for entry in plan],
        }
        self._resources.touch(
            endpoint, EndpointStatus="Updating", FailureReason=None, PendingDeploymentSummary=pending
        )
        self._do(endpoint, self._update(endpoint, configuration, plan, deployment or {}))
        return endpoint.document

    async def update_weights(self, caller: Caller, request: Document) -> Document:
        """Begin to change weights and counts of the variants that serve."""
        endpoint = self._settled(caller, request, "update")
        by_name = {entry["name"]: entry for entry in endpoint.plan["variants"]}
        for change in request["DesiredWeightsAndCapacities"]:
            if change["VariantName"] not in by_name:
                raise ApiError(
                    f'Could not find variant "{change["VariantName"]}" of endpoint "{endpoint.arn}".'
                )
        counts = {name: entry["count"] for name, entry in by_name.items()}
        counts |= {
            change["VariantName"]: int(change["DesiredInstanceCount"])
            for change in request["DesiredWeightsAndCapacities"]
            if "DesiredInstanceCount" in change
        }
        check_instances(counts.values())
        for change in request["DesiredWeightsAndCapacities"]:
            entry = by_name[change["VariantName"]]
            entry["weight"] = float(change.get("DesiredWeight", entry["weight"]))
            entry["count"] = int(change.get("DesiredInstanceCount", entry["count"]))
        self._resources.touch(endpoint, EndpointStatus="Updating", FailureReason=None)
        self._do(endpoint, self._rescale(endpoint))
        return endpoint.document

    async def delete(self, caller: Caller, request: Document) -> Document:
        """Begin to take an endpoint out of service."""
        endpoint = self._settled(caller, request, "delete", also_failed=True)
        self._resources.touch(endpoint, EndpointStatus="Deleting")
        self._do(endpoint, self._delete(endpoint))
        return {}

    async def _create(self, endpoint: Resource) -> None:
        fleet = Fleet(endpoint.name, endpoint.plan["variants"], self._around)
        try:
            check_instances(variant.count for variant in fleet.variants.values())  # a record may be older
            await fleet.start()
        except (ApiError, LaunchError) as exc:
            self._resources.touch(endpoint, EndpointStatus=FAILED, FailureReason=str(exc))
            return
        self._traffic.lead(endpoint.arn, fleet)
        self._resources.touch(endpoint, EndpointStatus=IN_SERVICE)

    async def _update(
        self, endpoint: Resource, configuration: Resource, plan: Plan, deployment: Mapping[str, Any]
    ) -> None:
        fleet = Fleet(endpoint.name, plan, self._around)
        try:
            await fleet.start()
            route = self._traffic.get(endpoint.arn)
            if route is not None:
                await shift(route, fleet, deployment, region=endpoint.region)
        except LaunchError as exc:
            self._resources.touch(endpoint, EndpointStatus="RollingBack", FailureReason=str(exc))
            await fleet.stop()
            self._resources.touch(endpoint, EndpointStatus=IN_SERVICE, PendingDeploymentSummary=None)
            return
        except BaseException:
            await fleet.stop()
            raise
        before = self._traffic.lead(endpoint.arn, fleet)
        endpoint.plan = {"variants": plan}
        try:
            if before is not None:
                await before.stop()
        finally:
            self._resources.touch(
                endpoint,
                EndpointStatus=IN_SERVICE,
                EndpointConfigName=configuration.name,
                LastDeploymentConfig=deployment or None,
                PendingDeploymentSummary=None,
                AsyncInferenceConfig=configuration.document.get("AsyncInferenceConfig"),
            )

    async def _rescale(self, endpoint: Resource) -> None:
        route = self._traffic.get(endpoint.arn)
        reason = None
        if route is not None:
            for entry in endpoint.plan["variants"]:
                route.fleet.variants[entry["name"]].weight = entry["weight"]
                try:
                    await route.fleet.scale(entry["name"], entry["count"])
                except LaunchError as exc:
                    reason = str(exc)
                    entry["count"] = len(route.fleet.variants[entry["name"]].instances)
        self._resources.touch(endpoint, EndpointStatus=IN_SERVICE, FailureReason=reason)

    async def _delete(self, endpoint: Resource) -> None:
        fleet = self._traffic.cut(endpoint.arn)
        if fleet is not None:
            await fleet.stop()
        self._resources.remove(endpoint)

    def _do(self, endpoint: Resource, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._finish(endpoint, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, endpoint: Resource, work: Coroutine[Any, Any, None]) -> None:
        """See work to its end; a mistake of ours must not leave an endpoint moving for ever."""
        try:
            await work
        except Exception as exc:
            _logger.exception("The work on an endpoint failed endpoint=%s", endpoint.name)
            reason = f"InternalError: {type(exc).__name__}; the log of segserve local has the trace"
            self._resources.touch(endpoint, EndpointStatus=FAILED, FailureReason=reason)

    def _get(self, caller: Caller, request: Document) -> Resource:
        return self._resources.get(Kind.ENDPOINT, region=caller.region, name=request["EndpointName"])

    def _settled(
        self, caller: Caller, request: Document, verb: str, *, also_failed: bool = False
    ) -> Resource:
        endpoint = self._get(caller, request)
        if endpoint.status in _MOVING:
            raise ApiError(f'Cannot {verb} in-progress endpoint "{endpoint.arn}": it is {endpoint.status}.')
        if endpoint.status == FAILED and not also_failed:
            raise ApiError(f'Cannot {verb} failed endpoint "{endpoint.arn}": delete it and create it again.')
        return endpoint

    def _configuration(self, caller: Caller, name: str) -> Resource:
        return self._resources.get(Kind.ENDPOINT_CONFIG, region=caller.region, name=name)
