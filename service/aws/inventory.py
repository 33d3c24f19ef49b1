"""Find what segserve made in an account and region, by its tags."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from service.aws import scaling
from service.aws.endpoint import is_ours
from service.aws.names import (
    ALARM_PREFIX,
    ENDPOINT_TAG,
    SCHEDULE_PREFIX,
    UNIT_PATTERN,
    alarm_names,
    schedule_name,
    tag_dict,
    unit_prefix,
)
from service.aws.refusals import unless_missing
from service.aws.session import Session

_KINDS: Final = {
    "endpoint": ("list_endpoints", "Endpoints", "EndpointName", "EndpointArn"),
    "endpoint_config": (
        "list_endpoint_configs",
        "EndpointConfigs",
        "EndpointConfigName",
        "EndpointConfigArn",
    ),
    "model": ("list_models", "Models", "ModelName", "ModelArn"),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """Hold one thing that segserve made."""

    kind: str
    """endpoint, endpoint_config, model, alarm or schedule."""
    name: str
    endpoint: str
    tags: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return it for a person."""
        return f"{self.kind.replace('_', ' ')} {self.name}"


def made_for(session: Session, endpoint: str) -> list[Thing]:
    """Return everything that was made for one endpoint, the endpoint first."""
    things = [
        thing
        for kind, contains in (
            ("endpoint", endpoint),
            ("endpoint_config", unit_prefix(endpoint)),
            ("model", unit_prefix(endpoint)),
        )
        for thing in _listed(session, kind, contains=contains)
        if thing.endpoint == endpoint and (kind != "endpoint" or thing.name == endpoint)
    ]
    return [*things, *_alarms(session, alarm_names(endpoint), endpoint), *_schedule(session, endpoint)]


def made(session: Session) -> list[Thing]:
    """Return everything that was made for any endpoint, endpoints first."""
    things = [thing for kind in _KINDS for thing in _listed(session, kind)]
    return [*things, *_all_alarms(session), *_all_schedules(session, things)]


def endpoints(session: Session) -> list[Thing]:
    """Return the endpoints that segserve made."""
    return list(_listed(session, "endpoint"))


def _listed(session: Session, kind: str, *, contains: str | None = None) -> Iterable[Thing]:
    operation, key, name_key, arn_key = _KINDS[kind]
    narrowed = {"NameContains": contains} if contains else {}
    for item in session.pages("sagemaker", operation, key, **narrowed):
        name = item[name_key]
        if kind != "endpoint" and not UNIT_PATTERN.fullmatch(name):
            continue
        listed = unless_missing(
            session.call, service="sagemaker", operation="list_tags", ResourceArn=item[arn_key]
        )
        tags = tag_dict(listed["Tags"]) if listed else {}
        if is_ours(tags):
            yield Thing(kind, name, tags[ENDPOINT_TAG], tags)


def _alarms(session: Session, names: Iterable[str], endpoint: str) -> list[Thing]:
    if not session.has("cloudwatch"):
        return []
    found = session.call("cloudwatch", "describe_alarms", AlarmNames=list(names), AlarmTypes=["MetricAlarm"])[
        "MetricAlarms"
    ]
    return [Thing("alarm", alarm["AlarmName"], endpoint) for alarm in found]


def _all_alarms(session: Session) -> list[Thing]:
    if not session.has("cloudwatch"):
        return []
    things = []
    for alarm in session.pages("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=ALARM_PREFIX):
        tags = tag_dict(
            session.call("cloudwatch", "list_tags_for_resource", ResourceARN=alarm["AlarmArn"])["Tags"]
        )
        if is_ours(tags):
            things.append(Thing("alarm", alarm["AlarmName"], tags[ENDPOINT_TAG], tags))
    return things


def _schedule(session: Session, endpoint: str) -> list[Thing]:
    if not session.has("scheduler"):
        return []
    name = schedule_name(endpoint)
    found = unless_missing(session.call, service="scheduler", operation="get_schedule", Name=name)
    return [Thing("schedule", name, endpoint)] if found else []


def _all_schedules(session: Session, things: list[Thing]) -> list[Thing]:
    """Return the appointments: those cannot be tagged, but their prefix is ours."""
    if not session.has("scheduler"):
        return []
    endpoints_by_schedule = {schedule_name(thing.endpoint): thing.endpoint for thing in things}
    found = session.pages("scheduler", "list_schedules", "Schedules", NamePrefix=SCHEDULE_PREFIX)
    return [
        Thing(
            "schedule",
            item["Name"],
            endpoints_by_schedule.get(item["Name"], item["Name"].removeprefix(SCHEDULE_PREFIX)),
        )
        for item in found
    ]


def scaled(session: Session, things: list[Thing]) -> list[str]:
    """Return the resource ids of scalable targets of endpoints."""
    names = sorted({thing.endpoint for thing in things})
    return [target["ResourceId"] for target in scaling.targets(session, names)]
