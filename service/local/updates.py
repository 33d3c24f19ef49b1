"""Shift the traffic of an endpoint from one fleet to another, and back when an alarm goes off."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from service.local.faults import LaunchError, not_emulated
from service.local.fleets import Fleet
from service.local.traffic import Route

_POLL_S: Final = 1.0


async def shift(route: Route, fleet: Fleet, deployment: Mapping[str, Any], *, region: str) -> None:
    """Give a new fleet its share of the traffic step by step, as a blue/green policy says.

    The route leads to the new fleet alone only once the caller says so.

    Raises:
        LaunchError: An alarm went off meanwhile; the old fleet has all of the traffic again.
    """
    blue_green = deployment.get("BlueGreenUpdatePolicy") or {}
    policy = blue_green.get("TrafficRoutingConfiguration") or {}
    rollback = deployment.get("AutoRollbackConfiguration") or {}
    alarms = [alarm["AlarmName"] for alarm in rollback.get("Alarms", [])]
    try:
        for share in _shares(policy, instances=sum(variant.count for variant in fleet.variants.values())):
            route.canary, route.canary_share = fleet, share
            await _bake(alarms, policy.get("WaitIntervalInSeconds", 0), region=region)
        route.canary, route.canary_share = fleet, 1.0
        await _bake(alarms, blue_green.get("TerminationWaitInSeconds", 0), region=region)
    except BaseException:
        route.canary, route.canary_share = None, 0.0
        raise


def check_deployment(deployment: Mapping[str, Any] | None) -> None:
    """Refuse a policy that is not emulated."""
    if deployment and deployment.get("RollingUpdatePolicy"):
        raise not_emulated("RollingUpdatePolicy", "DeploymentConfig")


def _shares(policy: Mapping[str, Any], *, instances: int) -> Iterator[float]:
    """Yield the new fleet's share at each step before it has all."""
    match policy.get("Type", "ALL_AT_ONCE"):
        case "CANARY":
            yield _share(policy.get("CanarySize"), instances=instances)
        case "LINEAR":
            step = _share(policy.get("LinearStepSize"), instances=instances)
            share = step
            while share < 1:
                yield share
                share += step
        case _:
            return


def _share(size: Mapping[str, Any] | None, *, instances: int) -> float:
    """Return a capacity size as a share of the new fleet."""
    if not size:
        return 0.1
    whole = 100 if size["Type"] == "CAPACITY_PERCENT" else max(instances, 1)
    return float(min(size["Value"] / whole, 1.0))


async def _bake(alarms: list[str], wait_s: float, *, region: str) -> None:
    """Watch the alarms for a while."""
    end = time.monotonic() + wait_s
    while True:
        if alarms and (ringing := await asyncio.to_thread(_ringing, alarms, region)):
            raise LaunchError(f"One or more configured alarms went off: {', '.join(ringing)}")
        remaining = end - time.monotonic()
        if remaining <= 0:
            return
        await asyncio.sleep(min(_POLL_S, remaining))


def _ringing(alarms: list[str], region: str) -> list[str]:
    try:
        client = boto3.Session().client(
            "cloudwatch", region_name=os.environ.get("AWS_DEFAULT_REGION", region)
        )
        found = client.describe_alarms(AlarmNames=alarms)["MetricAlarms"]
    except (BotoCoreError, ClientError) as exc:
        raise LaunchError(f"The alarms {', '.join(alarms)} cannot be read: {exc}") from exc
    return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]
