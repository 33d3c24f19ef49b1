"""Answer lists as AWS does: filtered, sorted, and a page at a time."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from botocore.utils import parse_to_aware_datetime

from service.local.faults import ApiError
from service.local.resources import Kind, Resource

DEFAULT_PAGE: Final = 10
"""Entries of a page where the request does not say. Source: SageMaker API reference, MaxResults."""

_LISTS: Final = {
    Kind.MODEL: "Models",
    Kind.ENDPOINT_CONFIG: "EndpointConfigs",
    Kind.ENDPOINT: "Endpoints",
    Kind.TRAINING_JOB: "TrainingJobSummaries",
    Kind.TRANSFORM_JOB: "TransformJobSummaries",
}
_BOUNDS: Final = (
    ("CreationTimeAfter", "CreationTime", 1),
    ("CreationTimeBefore", "CreationTime", -1),
    ("LastModifiedTimeAfter", "LastModifiedTime", 1),
    ("LastModifiedTimeBefore", "LastModifiedTime", -1),
)


def list_page(kind: Kind, found: Sequence[Resource], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of a list; whole descriptions, of which the operation's shape takes its part."""
    # The default order of training jobs is the other way round. Source: API_ListTrainingJobs.
    default = "Ascending" if kind is Kind.TRAINING_JOB else "Descending"
    is_descending = request.get("SortOrder", default) == "Descending"
    entries = [
        (_sort_key(resource, request.get("SortBy", "CreationTime")), resource.document)
        for resource in found
        if _is_wanted(resource, request)
    ]
    entries.sort(key=lambda entry: entry[0], reverse=is_descending)
    after = _read_token(request.get("NextToken"))
    if after is not None:
        entries = [entry for entry in entries if (entry[0] < after if is_descending else entry[0] > after)]
    size = request.get("MaxResults") or DEFAULT_PAGE
    page, rest = entries[:size], entries[size:]
    answer: dict[str, Any] = {_LISTS[kind]: [document for _, document in page]}
    if rest:
        answer["NextToken"] = _write_token(page[-1][0])
    return answer


def _is_wanted(resource: Resource, request: Mapping[str, Any]) -> bool:
    if request.get("NameContains", "").lower() not in resource.name.lower():
        return False
    if request.get("StatusEquals", resource.status) != resource.status:
        return False
    for member, described, direction in _BOUNDS:
        if member in request:
            moment = resource.document.get(described, resource.document["CreationTime"])
            if (moment - _seconds(request[member])) * direction <= 0:
                return False
    return True


def _seconds(moment: Any) -> float:
    parsed: datetime = parse_to_aware_datetime(moment)
    return parsed.timestamp()


def _sort_key(resource: Resource, by: str) -> tuple[Any, str]:
    match by:
        case "Name":
            return (resource.name.lower(), "")
        case "Status":
            return (resource.status, resource.name.lower())
        case _:
            return (resource.document["CreationTime"], resource.name.lower())


def _write_token(key: tuple[Any, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_token(token: str | None) -> tuple[Any, str] | None:
    if token is None:
        return None
    try:
        first, second = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, TypeError) as exc:
        raise ApiError("NextToken is not one that this service has given") from exc
    return (first, second)
