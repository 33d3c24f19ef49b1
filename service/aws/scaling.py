"""Let an endpoint grow and shrink with its traffic."""

from typing import Any, Final

from service.aws.calls import ApiCall
from service.aws.names import VARIANT
from service.aws.refusals import unless_missing
from service.aws.session import Session
from service.aws.unit import Unit
from service.errors import ConfigurationError
from service.tracking import TargetTracking

SERVICE: Final = "application-autoscaling"
DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"
_POLICY: Final = "segserve-invocations"


def resource_id(endpoint: str) -> str:
    """Return Application Auto Scaling's name of an endpoint's variant."""
    return f"endpoint/{endpoint}/variant/{VARIANT}"


def scaling_calls(unit: Unit, *, minimum: int, maximum: int, target: float) -> list[ApiCall]:
    """Return the calls that scale an endpoint between two sizes.

    Args:
        unit: What serves.
        minimum: Instances at least; 0 only of an asynchronous endpoint.
        maximum: Instances at most.
        target: Invocations a minute and instance to aim at; those that wait when asynchronous.

    Raises:
        ConfigurationError: The sizes are not accepted, or the endpoint does not scale so.
    """
    is_async = "AsyncInferenceConfig" in unit.config
    if "ServerlessConfig" in unit.config["ProductionVariants"][0]:
        raise ConfigurationError(f"the endpoint {unit.endpoint} is serverless: it scales by itself")
    wanted = TargetTracking(minimum, maximum, target, is_async=is_async)
    common = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": resource_id(unit.endpoint),
        "ScalableDimension": DIMENSION,
    }
    tracking: dict[str, Any] = {
        "TargetValue": wanted.target,
        "ScaleInCooldown": wanted.scale_in_cooldown_s,
        "ScaleOutCooldown": wanted.scale_out_cooldown_s,
    }
    if is_async:
        tracking["CustomizedMetricSpecification"] = {
            "MetricName": "ApproximateBacklogSizePerInstance",
            "Namespace": "AWS/SageMaker",
            "Dimensions": [{"Name": "EndpointName", "Value": unit.endpoint}],
            "Statistic": "Average",
        }
    else:
        tracking["PredefinedMetricSpecification"] = {
            "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
        }
    policy = {
        "PolicyName": _POLICY,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    return [
        ApiCall(
            SERVICE, "register_scalable_target", {**common, "MinCapacity": minimum, "MaxCapacity": maximum}
        ),
        ApiCall(SERVICE, "put_scaling_policy", {**common, **policy}),
    ]


def targets(session: Session, endpoints: list[str]) -> list[dict[str, Any]]:
    """Return the scalable targets of endpoints, whoever registered them."""
    if not session.has(SERVICE) or not endpoints:
        return []
    found: list[dict[str, Any]] = []
    for first in range(0, len(endpoints), 50):
        names = [resource_id(endpoint) for endpoint in endpoints[first : first + 50]]
        found += session.pages(
            SERVICE,
            "describe_scalable_targets",
            "ScalableTargets",
            ServiceNamespace="sagemaker",
            ResourceIds=names,
        )
    return found


def deregister(session: Session, endpoint: str) -> bool:
    """Stop scaling an endpoint; its policies go with it. Tell whether it was scaled."""
    if not session.has(SERVICE):
        return False
    return any(
        unless_missing(
            session.call,
            service=SERVICE,
            operation="deregister_scalable_target",
            ServiceNamespace="sagemaker",
            ResourceId=target["ResourceId"],
            ScalableDimension=target["ScalableDimension"],
        )
        is not None
        for target in targets(session, [endpoint])
    )
