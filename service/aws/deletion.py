"""Take away what segserve made, whatever of it is still there, and make sure that nothing is left."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from service.aws import inventory, scaling
from service.aws.endpoint import Endpoint, Say
from service.aws.expiry import is_over
from service.aws.inventory import Thing
from service.aws.refusals import unless_missing
from service.aws.session import Session
from service.errors import AwsError

_TIMEOUT_S: Final = 1800.0


def delete_endpoint(session: Session, endpoint: str, *, say: Say) -> list[str]:
    """Delete an endpoint and all that was made for it, and return what was deleted.

    Raises:
        AwsError: It is not segserve's, or something is left.
    """
    described = Endpoint(session, endpoint).describe()
    things = inventory.made_for(session, endpoint)
    if described and not any(thing.kind == "endpoint" for thing in things):
        Endpoint(session, endpoint).require_ours()
    removed = _remove(session, things, [endpoint], say=say)
    _verify(inventory.made_for(session, endpoint), scaling.targets(session, [endpoint]))
    return removed


def delete_all(session: Session, *, say: Say) -> list[str]:
    """Delete everything that segserve made, and return what was deleted.

    Raises:
        AwsError: Something is left.
    """
    things = inventory.made(session)
    names = sorted({thing.endpoint for thing in things})
    removed = _remove(session, things, names, say=say)
    _verify(inventory.made(session), scaling.targets(session, names))
    return removed


def expired(session: Session, *, now: datetime) -> list[str]:
    """Return the endpoints whose time is over, also those of which only the rest is left."""
    return sorted({thing.endpoint for thing in inventory.made(session) if is_over(thing.tags, now=now)})


def _remove(session: Session, things: Iterable[Thing], endpoints: list[str], *, say: Say) -> list[str]:
    """Delete in the order that AWS asks for: what scales, what runs, what it was made of, what watched it."""
    removed = []
    for endpoint in endpoints:
        if scaling.deregister(session, endpoint):
            removed.append(f"scaling of {endpoint}")
            say(f"deleted {removed[-1]}")
    for thing in things:
        if _DELETIONS[thing.kind](session, thing.name):
            removed.append(str(thing))
            say(f"deleted {thing}")
    return removed


def _delete_endpoint(session: Session, name: str) -> bool:
    endpoint = Endpoint(session, name)
    if endpoint.wait_until_settled(timeout_s=_TIMEOUT_S) is None:
        return False
    done = unless_missing(session.call, service="sagemaker", operation="delete_endpoint", EndpointName=name)
    endpoint.wait_until_gone(timeout_s=_TIMEOUT_S)
    return done is not None


def _delete_config(session: Session, name: str) -> bool:
    return (
        unless_missing(
            session.call, service="sagemaker", operation="delete_endpoint_config", EndpointConfigName=name
        )
        is not None
    )


def _delete_model(session: Session, name: str) -> bool:
    return (
        unless_missing(session.call, service="sagemaker", operation="delete_model", ModelName=name)
        is not None
    )


def _delete_alarm(session: Session, name: str) -> bool:
    return (
        unless_missing(session.call, service="cloudwatch", operation="delete_alarms", AlarmNames=[name])
        is not None
    )


def _delete_schedule(session: Session, name: str) -> bool:
    return (
        unless_missing(session.call, service="scheduler", operation="delete_schedule", Name=name) is not None
    )


_DELETIONS: Final[dict[str, Callable[[Session, str], bool]]] = {
    "endpoint": _delete_endpoint,
    "endpoint_config": _delete_config,
    "model": _delete_model,
    "alarm": _delete_alarm,
    "schedule": _delete_schedule,
}


def _verify(left: list[Thing], targets: list[dict[str, object]]) -> None:
    names = [*(str(thing) for thing in left), *(f"scaling of {target['ResourceId']}" for target in targets)]
    if names:
        raise AwsError(f"still there after all, and may bill: {'; '.join(names)}. Run the command again")
