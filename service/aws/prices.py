"""Say what runs, since when and at what price, from a table that says how old it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.aws.endpoint import Endpoint, is_ours, since
from service.aws.names import EXPIRES_TAG
from service.aws.price_table import PriceTable
from service.aws.session import Session
from service.errors import AwsError


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold what one endpoint costs."""

    endpoint: str
    status: str
    is_ours: bool
    since: datetime
    hosting: str
    """In words: 2 x ml.m5.xlarge, or serverless 2048 MB."""
    hourly: float | None
    """All instances, None where the table does not know the price."""
    note: str
    expires: str | None

    def so_far(self, *, now: datetime) -> float | None:
        """Return what it has cost since it was made, as if it had always had its present size."""
        return (
            None if self.hourly is None else self.hourly * max((now - self.since).total_seconds(), 0) / 3600
        )


def costs(session: Session, table: PriceTable) -> list[Cost]:
    """Return the cost of every endpoint of the account in this region, whoever made it."""
    found = session.pages("sagemaker", "list_endpoints", "Endpoints")
    return [cost for item in found if (cost := cost_of(session, item["EndpointName"], table)) is not None]


def cost_of(session: Session, name: str, table: PriceTable) -> Cost | None:
    """Return the cost of an endpoint, None where it has gone meanwhile."""
    endpoint = Endpoint(session, name)
    described = endpoint.describe()
    if described is None:
        return None
    tags = endpoint.tags(described)
    hosting, hourly, note = _hosting(session, endpoint, described, table)
    return Cost(
        endpoint=name,
        status=described["EndpointStatus"],
        is_ours=is_ours(tags),
        since=since(described),
        hosting=hosting,
        hourly=hourly,
        note=note,
        expires=tags.get(EXPIRES_TAG),
    )


def _hosting(
    session: Session, endpoint: Endpoint, described: Mapping[str, Any], table: PriceTable
) -> tuple[str, float | None, str]:
    """Return what an endpoint runs on, its price an hour, and what is to be said about that."""
    if described["EndpointStatus"] == "Failed":
        return "nothing", 0.0, "failed endpoints do not bill"
    try:
        config = endpoint.config(described["EndpointConfigName"])
    except AwsError:
        return "unknown", None, "its configuration is gone"
    running = {variant["VariantName"]: variant for variant in described.get("ProductionVariants", [])}
    words, total, unknown = [], 0.0, []
    for variant in config["ProductionVariants"]:
        if "ServerlessConfig" in variant:
            words.append(f"serverless {variant['ServerlessConfig']['MemorySizeInMB']} MB")
            continue
        kind = variant.get("InstanceType", "unknown")
        count = _count(running.get(variant["VariantName"], {}), variant, status=described["EndpointStatus"])
        words.append(f"{count} x {kind}")
        price = table.hourly(session.region, kind)
        if price is None:
            unknown.append(kind)
        else:
            total += price * count
    hosting = ", ".join(words)
    if unknown:
        return hosting, None, f"no price for {', '.join(unknown)} in {session.region}"
    if all("ServerlessConfig" in variant for variant in config["ProductionVariants"]):
        return hosting, 0.0, "serverless bills each invocation, and nothing while idle"
    return hosting, total, ""


def _count(running: Mapping[str, Any], configured: Mapping[str, Any], *, status: str) -> int:
    """Return how many instances a variant has; while they are being created, how many it will have."""
    initial = configured.get("InitialInstanceCount", 1)
    if status == "Creating":
        return int(running.get("DesiredInstanceCount", initial))
    return int(running.get("CurrentInstanceCount", initial))


def as_document(cost: Cost, *, now: datetime) -> dict[str, Any]:
    """Return a cost for a program."""
    so_far = cost.so_far(now=now)
    return {
        "endpoint": cost.endpoint,
        "status": cost.status,
        "ours": cost.is_ours,
        "since": cost.since.isoformat(),
        "hosting": cost.hosting,
        "hourly": cost.hourly,
        "so_far": None if so_far is None else round(so_far, 2),
        "note": cost.note,
        "expires": cost.expires,
    }
