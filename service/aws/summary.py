"""Sum up an endpoint: what it serves, on what, since when and until when."""

from typing import Any

from service.aws import scaling
from service.aws.endpoint import Endpoint, since
from service.aws.names import EXPIRES_TAG, VERSION_TAG
from service.aws.price_table import read_prices
from service.aws.prices import cost_of
from service.aws.session import Session
from service.errors import AwsError


def summarize(session: Session, name: str) -> dict[str, Any]:
    """Return what is worth knowing of an endpoint.

    Raises:
        AwsError: It is not there.
    """
    endpoint = Endpoint(session, name)
    described = endpoint.require()
    tags = endpoint.tags(described)
    config, image, data = _contents(endpoint, described["EndpointConfigName"])
    cost = cost_of(session, name, read_prices())
    targets = scaling.targets(session, [name])
    history = endpoint.history(tags)
    return {
        "endpoint": name,
        "status": described["EndpointStatus"],
        "reason": described.get("FailureReason"),
        "model": tags.get(VERSION_TAG),
        "config": described["EndpointConfigName"],
        "data": data,
        "image": image,
        "runs on": cost.hosting if cost else None,
        "an hour": cost.hourly if cost else None,
        "scales": f"{targets[0]['MinCapacity']} to {targets[0]['MaxCapacity']} instances"
        if targets
        else None,
        "capture": config.get("DataCaptureConfig", {}).get("DestinationS3Uri"),
        "async": config.get("AsyncInferenceConfig", {}).get("OutputConfig", {}).get("S3OutputPath"),
        "before": history[-1] if history else None,
        "since": since(described).isoformat(timespec="seconds"),
        "until": tags.get(EXPIRES_TAG),
    }


def _contents(endpoint: Endpoint, config_name: str) -> tuple[dict[str, Any], str | None, str | None]:
    """Return an endpoint's configuration, image and model data, as far as they are still there."""
    try:
        config = endpoint.config(config_name)
        container = endpoint.model(config).get("PrimaryContainer", {})
    except AwsError as exc:
        if exc.is_missing:
            return {}, None, None
        raise
    return config, container.get("Image"), container.get("ModelDataUrl")
