"""End an endpoint at a time that was set when it was made, so that none is forgotten."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from service.aws.calls import ApiCall
from service.aws.names import EXPIRES_TAG, schedule_name, tag_list
from service.aws.session import Session
from service.errors import AwsError, ConfigurationError

SERVICE: Final = "scheduler"
_TTL: Final = re.compile(r"(\d{1,5})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_LONGEST: Final = timedelta(days=365)


def parse_ttl(text: str) -> timedelta:
    """Return a time to live like 30m, 8h or 2d.

    Raises:
        ConfigurationError: It is not one.
    """
    match = _TTL.fullmatch(text)
    ttl = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta(0)
    if not timedelta(0) < ttl <= _LONGEST:
        raise ConfigurationError(
            f"--ttl {text[:20]!r} is not accepted: it should be like 30m, 8h or 2d, at most 365d"
        )
    return ttl


def expires_at(ttl: timedelta, *, now: datetime) -> str:
    """Return when a time to live is over, as the tag says it."""
    return (now + ttl).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_over(tags: dict[str, str], *, now: datetime) -> bool:
    """Tell by its tags whether a thing's time is over; a tag that is no time counts as none."""
    try:
        return datetime.fromisoformat(tags[EXPIRES_TAG]) <= now
    except (KeyError, ValueError, TypeError):
        return False


def tag_calls(arns: list[str], expires: str) -> list[ApiCall]:
    """Return the calls that write the expiry tag."""
    return [
        ApiCall("sagemaker", "add_tags", {"ResourceArn": arn, "Tags": tag_list({EXPIRES_TAG: expires})})
        for arn in arns
    ]


def schedule_call(
    endpoint: str, expires: str, *, role: str, partition: str, operation: str = "create_schedule"
) -> ApiCall:
    """Return the call that has EventBridge Scheduler delete the endpoint once, at its time.

    Source: AWS guide, "Using universal targets with EventBridge Scheduler".
    """
    target = {
        "Arn": f"arn:{partition}:scheduler:::aws-sdk:sagemaker:deleteEndpoint",
        "RoleArn": role,
        "Input": json.dumps({"EndpointName": endpoint}),
    }
    parameters: dict[str, Any] = {
        "Name": schedule_name(endpoint),
        "Description": f"segserve: deletes the endpoint {endpoint}",
        "ScheduleExpression": f"at({expires.removesuffix('Z')})",
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": target,
    }
    return ApiCall(SERVICE, operation, parameters)


def schedule(session: Session, endpoint: str, expires: str, *, role: str) -> None:
    """Have the endpoint deleted at its time; an earlier appointment is moved."""
    call = schedule_call(endpoint, expires, role=role, partition=session.partition)
    try:
        call.make(session)
    except AwsError as exc:
        if not exc.is_taken:
            raise
        schedule_call(
            endpoint, expires, role=role, partition=session.partition, operation="update_schedule"
        ).make(session)
