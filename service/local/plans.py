"""Work out what an endpoint configuration asks to be run, complete in itself.

A plan is kept with the endpoint: configuration and models may be deleted while it is in service.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from service.local.faults import ApiError
from service.local.fleets import SERVERLESS_START_TIMEOUT_S, START_TIMEOUT_S
from service.local.model_data import find_container
from service.local.resources import Kind, Resource, Resources

MAX_INSTANCES: Final = 8
"""Of all variants of an endpoint together: each is a container with a server and workers on this machine."""

Plan = list[dict[str, Any]]

_RETAINABLE: Final = {"DesiredInstanceCount": "count", "DesiredWeight": "weight"}


def make_plan(configuration: Resource, resources: Resources) -> Plan:
    """Return the variants to run, as `fleets.Variant` takes them.

    Raises:
        ApiError: A model of the configuration has been deleted.
    """
    return [
        _entry(variant, configuration, resources) for variant in configuration.document["ProductionVariants"]
    ]


def retain(plan: Plan, previous: Plan, *, excluded: set[str]) -> None:
    """Keep the counts and weights that variants have now, but for the excluded properties."""
    before = {entry["name"]: entry for entry in previous}
    for entry in plan:
        for wanted, key in _RETAINABLE.items():
            if entry["name"] in before and wanted not in excluded:
                entry[key] = before[entry["name"]][key]


def check_instances(counts: Iterable[int]) -> None:
    """Refuse more instances of one endpoint than this machine bears.

    Raises:
        ApiError: Named as AWS names the end of an account's quota.
    """
    total = sum(counts)
    if total > MAX_INSTANCES:
        raise ApiError(
            f"segserve local starts at most {MAX_INSTANCES} instances of an endpoint, since all of them run "
            f"on this machine, and {total} were asked for: ask for fewer",
            code="ResourceLimitExceeded",
        )


def describe_variants(plan: Plan, *, is_running: bool) -> list[dict[str, Any]]:
    """Return the summaries of a plan's variants."""
    total = sum(entry["weight"] for entry in plan)
    return [
        {
            "VariantName": entry["name"],
            "DeployedImages": [
                {"SpecifiedImage": entry["container"]["Image"], "ResolvedImage": entry["container"]["Image"]}
            ],
            "CurrentWeight": entry["weight"] if total else 0.0,
            "DesiredWeight": entry["weight"],
            "CurrentInstanceCount": entry["count"] if is_running else 0,
            "DesiredInstanceCount": entry["count"],
        }
        for entry in plan
    ]


def _entry(variant: Mapping[str, Any], configuration: Resource, resources: Resources) -> dict[str, Any]:
    model = resources.get(Kind.MODEL, region=configuration.region, name=variant["ModelName"])
    is_serverless = bool(variant.get("ServerlessConfig"))
    standard_s = SERVERLESS_START_TIMEOUT_S if is_serverless else START_TIMEOUT_S
    return {
        "name": variant["VariantName"],
        "weight": float(variant.get("InitialVariantWeight", 1.0)),
        "count": int(variant.get("InitialInstanceCount") or 1),
        "container": find_container(model.document),
        "start_timeout_s": float(variant.get("ContainerStartupHealthCheckTimeoutInSeconds", standard_s)),
        "is_serverless": is_serverless,
    }
