"""Say how traffic moves to a new model, and which alarms call it back."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from service.aws.calls import ApiCall
from service.aws.names import ENDPOINT_TAG, MANAGED_BY, MANAGED_BY_TAG, VARIANT, alarm_names, tag_list
from service.aws.unit import Unit
from service.errors import ConfigurationError

AUTOMATIC: Final = "auto"
"""Stands for the two alarms that segserve makes itself."""

_MAX_ALARMS: Final = 10
_SHARES: Final = {"canary": (1, 50), "rolling": (5, 50)}
"""Percent of the capacity. Source: API_CapacitySize, API_RollingUpdatePolicy."""
_EXECUTION_TIMEOUT_S: Final = 3600
_TERMINATION_WAIT_S: Final = 120
_MAX_LATENCY_US: Final = 1_000_000


def deployment_config(
    unit: Unit, *, canary: int | None, rolling: int | None, wait_s: int, alarms: Sequence[str]
) -> dict[str, Any] | None:
    """Return SageMaker's DeploymentConfig, None for its own way: all at once, blue/green.

    Args:
        unit: What shall serve.
        canary: Percent of the capacity that gets traffic first.
        rolling: Percent of the capacity replaced at a time.
        wait_s: How long the first share is watched before the rest follows.
        alarms: Names of alarms that call the update back.

    Raises:
        ConfigurationError: The endpoint cannot be updated so.
    """
    if len(alarms) > _MAX_ALARMS:
        raise ConfigurationError(f"{len(alarms)} alarms are too many: SageMaker watches {_MAX_ALARMS}")
    if canary is None and rolling is None and not alarms:
        return None
    if canary is not None and rolling is not None:
        raise ConfigurationError("--canary and --rolling exclude each other")
    for kind, share in (("canary", canary), ("rolling", rolling)):
        if share is not None:
            _check(kind, share, unit)
    config: dict[str, Any] = {}
    if rolling is not None:
        config["RollingUpdatePolicy"] = {
            "MaximumBatchSize": _percent(rolling),
            "WaitIntervalInSeconds": wait_s,
            "MaximumExecutionTimeoutInSeconds": _EXECUTION_TIMEOUT_S + wait_s,
        }
    else:
        routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": wait_s}
        if canary is not None:
            routing = {"Type": "CANARY", "WaitIntervalInSeconds": wait_s, "CanarySize": _percent(canary)}
        config["BlueGreenUpdatePolicy"] = {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": _TERMINATION_WAIT_S,
            "MaximumExecutionTimeoutInSeconds": _EXECUTION_TIMEOUT_S + wait_s,
        }
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config


def alarm_calls(endpoint: str) -> list[ApiCall]:
    """Return the calls that make two alarms: a server error, or one request in a hundred over a second."""
    errors, latency = alarm_names(endpoint)
    common = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": [
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": VARIANT},
        ],
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": tag_list({MANAGED_BY_TAG: MANAGED_BY, ENDPOINT_TAG: endpoint}),
    }
    of_errors = {
        "AlarmName": errors,
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Sum",
        "Threshold": 1.0,
    }
    of_latency = {
        "AlarmName": latency,
        "MetricName": "ModelLatency",
        "ExtendedStatistic": "p99",
        "Threshold": float(_MAX_LATENCY_US),
    }
    return [
        ApiCall("cloudwatch", "put_metric_alarm", {**alarm, **common}) for alarm in (of_errors, of_latency)
    ]


def _check(kind: str, share: int, unit: Unit) -> None:
    low, high = _SHARES[kind]
    if not low <= share <= high:
        raise ConfigurationError(f"--{kind} {share} is not accepted: SageMaker takes {low} to {high} percent")
    variant: Mapping[str, Any] = unit.config["ProductionVariants"][0]
    if "ServerlessConfig" in variant:
        raise ConfigurationError(
            f"--{kind} does not go with a serverless endpoint: SageMaker updates it all at once"
        )
    if unit.model["PrimaryContainer"].get("Mode") == "MultiModel":
        raise ConfigurationError(
            f"--{kind} does not go with a multi-model endpoint: SageMaker updates it all at once"
        )
    if variant["InitialInstanceCount"] < 2:
        raise ConfigurationError(f"--{kind} needs an endpoint of at least 2 instances; {unit.endpoint} has 1")


def _percent(share: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": share}
