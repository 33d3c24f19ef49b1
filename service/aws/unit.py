"""Pair a SageMaker model with its endpoint configuration under one name that follows from all they hold."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.aws.calls import ApiCall
from service.aws.names import (
    ENDPOINT_TAG,
    EXPIRES_TAG,
    MANAGED_BY,
    MANAGED_BY_TAG,
    VARIANT,
    VERSION_TAG,
    check_endpoint_name,
    tag_list,
    unit_name,
)
from service.errors import ConfigurationError

DEFAULT_INSTANCE_TYPE: Final = "ml.m5.xlarge"
STARTUP_TIMEOUT_S: Final = 600
"""For the container to answer /ping; SageMaker takes 60 to 3600. Source: API_ProductionVariant."""

SERVERLESS_MEMORY_MB: Final = (1024, 2048, 3072, 4096, 5120, 6144)
"""Source: API_ProductionVariantServerlessConfig."""
MAX_CONCURRENCY: Final = 200
"""Source: as SERVERLESS_MEMORY_MB."""

_INSTANCE_TYPE: Final = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9-]+")
_ARM: Final = re.compile(r"ml\.[a-z]+\d+[a-z]*g[a-z]*\.")
"""Graviton: m6g, c7gn, x2gd; not g5. C116: an image for amd64 does not start there."""

_MODEL_KEYS: Final = ("PrimaryContainer", "ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation")
_CONFIG_KEYS: Final = (
    "ProductionVariants",
    "DataCaptureConfig",
    "AsyncInferenceConfig",
    "KmsKeyId",
    "ExplainerConfig",
    "VpcConfig",
    "EnableNetworkIsolation",
)


@dataclass(frozen=True, slots=True)
class Hosting:
    """Hold what an endpoint runs on and what it keeps; one that SageMaker would refuse is refused here.

    Raises:
        ConfigurationError: The values are not accepted, or do not go together.
    """

    instance_type: str = DEFAULT_INSTANCE_TYPE
    instances: int = 1
    serverless_mb: int | None = None
    """Memory; None runs on instances."""
    max_concurrency: int = 5
    async_output: str | None = None
    """S3 prefix for the answers of an asynchronous endpoint."""
    capture: str | None = None
    """S3 prefix for captured payloads."""
    capture_percent: int = 100
    is_multi_model: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of the container."""

    def __post_init__(self) -> None:
        """Check each value, then what excludes what."""
        if not _INSTANCE_TYPE.fullmatch(self.instance_type):
            raise ConfigurationError(
                f"--instance-type {self.instance_type[:40]!r} is not one: it should be like "
                f"{DEFAULT_INSTANCE_TYPE}"
            )
        if _ARM.match(self.instance_type):
            raise ConfigurationError(
                f"--instance-type {self.instance_type} has an ARM processor, and the image is for amd64: "
                f"take another, like {DEFAULT_INSTANCE_TYPE}"
            )
        for option, url in (("--async", self.async_output), ("--data-capture", self.capture)):
            if url is not None and not re.fullmatch(r"s3://[a-z0-9.-]{3,63}(/.*)?", url):
                raise ConfigurationError(
                    f"{option} {url[:80]!r} is not an S3 location: it should be s3://BUCKET/PREFIX"
                )
        if self.serverless_mb is None:
            return
        if self.serverless_mb not in SERVERLESS_MEMORY_MB:
            accepted = ", ".join(str(size) for size in SERVERLESS_MEMORY_MB)
            raise ConfigurationError(
                f"--serverless {self.serverless_mb} is not accepted: it should be one of {accepted} (MB)"
            )
        for option, is_set in (
            ("--async", self.async_output),
            ("--data-capture", self.capture),
            ("--multi-model", self.is_multi_model),
        ):
            if is_set:
                raise ConfigurationError(
                    f"--serverless does not go with {option}: SageMaker offers that on instances only"
                )

    def variant(self) -> dict[str, Any]:
        """Return the production variant, without its model."""
        if self.serverless_mb is not None:
            serverless = {"MemorySizeInMB": self.serverless_mb, "MaxConcurrency": self.max_concurrency}
            return {"VariantName": VARIANT, "ServerlessConfig": serverless}
        return {
            "VariantName": VARIANT,
            "InstanceType": self.instance_type,
            "InitialInstanceCount": self.instances,
            "InitialVariantWeight": 1.0,
            "ContainerStartupHealthCheckTimeoutInSeconds": STARTUP_TIMEOUT_S,
        }

    def config(self) -> dict[str, Any]:
        """Return the endpoint configuration, without names."""
        config: dict[str, Any] = {"ProductionVariants": [self.variant()]}
        if self.async_output is not None:
            output = {
                "S3OutputPath": f"{self.async_output.rstrip('/')}/output",
                "S3FailurePath": f"{self.async_output.rstrip('/')}/failure",
            }
            config["AsyncInferenceConfig"] = {"OutputConfig": output}
        if self.capture is not None:
            config["DataCaptureConfig"] = {
                "EnableCapture": True,
                "InitialSamplingPercentage": self.capture_percent,
                "DestinationS3Uri": self.capture,
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            }
        return config


@dataclass(frozen=True, slots=True)
class Unit:
    """Hold one model and one endpoint configuration; equal ones have equal names, so a rerun finds them."""

    endpoint: str
    version: str
    """The model version, which is in the name."""
    model: Mapping[str, Any]
    """CreateModel's parameters but the name and the tags."""
    config: Mapping[str, Any]
    """CreateEndpointConfig's parameters but the names and the tags."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The user's."""
    expires: str | None = None
    """When the endpoint may be deleted."""

    @property
    def name(self) -> str:
        """Return the name of both."""
        key = json.dumps([self.endpoint, self.model, self.config], sort_keys=True, default=str)
        return unit_name(self.endpoint, self.version, key=key)

    @property
    def all_tags(self) -> list[dict[str, str]]:
        """Return the user's tags and those by which it is found again."""
        ours = {MANAGED_BY_TAG: MANAGED_BY, ENDPOINT_TAG: self.endpoint, VERSION_TAG: self.version}
        expiry = {EXPIRES_TAG: self.expires} if self.expires else {}
        return tag_list({**self.tags, **ours, **expiry})

    def calls(self) -> tuple[ApiCall, ApiCall]:
        """Return the calls that make the model and the configuration."""
        variants = [{**variant, "ModelName": self.name} for variant in self.config["ProductionVariants"]]
        config = {**self.config, "ProductionVariants": variants}
        return (
            ApiCall(
                "sagemaker", "create_model", {"ModelName": self.name, **self.model, "Tags": self.all_tags}
            ),
            ApiCall(
                "sagemaker",
                "create_endpoint_config",
                {"EndpointConfigName": self.name, **config, "Tags": self.all_tags},
            ),
        )


def new_unit(
    endpoint: str,
    *,
    version: str,
    image: str,
    role: str,
    model_data: str,
    hosting: Hosting,
    tags: Mapping[str, str],
    expires: str | None = None,
) -> Unit:
    """Return the unit of a first deployment.

    Args:
        endpoint: Its name.
        version: The model version.
        image: URI of the container image.
        role: ARN of the role that SageMaker takes on.
        model_data: Where `model.tar.gz` is, or the prefix of many for a multi-model endpoint.
        hosting: What it runs on.
        tags: The user's.
        expires: When the endpoint may be deleted, as the tag says it.
    """
    container: dict[str, Any] = {"Image": image, "ModelDataUrl": model_data}
    if hosting.environment:
        container["Environment"] = dict(hosting.environment)
    if hosting.is_multi_model:
        container["Mode"] = "MultiModel"
    return Unit(
        endpoint=check_endpoint_name(endpoint),
        version=version,
        model={"PrimaryContainer": container, "ExecutionRoleArn": role},
        config=hosting.config(),
        tags=tags,
        expires=expires,
    )


def next_unit(
    current: Unit,
    *,
    version: str,
    model_data: str,
    image: str | None = None,
    instance_type: str | None = None,
) -> Unit:
    """Return a unit that differs from the one that serves in what is given, and in nothing else."""
    container = {**current.model["PrimaryContainer"], "ModelDataUrl": model_data}
    if image is not None:
        container["Image"] = image
    variants = [dict(variant) for variant in current.config["ProductionVariants"]]
    if instance_type is not None:
        Hosting(instance_type=instance_type)
        variants = [{**variant, "InstanceType": instance_type} for variant in variants]
    return Unit(
        endpoint=current.endpoint,
        version=version,
        model={**current.model, "PrimaryContainer": container},
        config={**current.config, "ProductionVariants": variants},
        tags=current.tags,
        expires=current.expires,
    )


def described_unit(
    endpoint: str, *, model: Mapping[str, Any], config: Mapping[str, Any], tags: Mapping[str, str]
) -> Unit:
    """Return the unit that two Describe calls of SageMaker speak of."""
    container = {
        key: value
        for key, value in model["PrimaryContainer"].items()
        if key in {"Image", "ModelDataUrl", "Mode", "Environment"} and value not in ({}, "SingleModel")
    }
    kept_model = {key: model[key] for key in _MODEL_KEYS if model.get(key)}
    kept_config = {key: config[key] for key in _CONFIG_KEYS if config.get(key)}
    variants = [
        {key: value for key, value in variant.items() if key != "ModelName" and value not in ({}, None)}
        for variant in config["ProductionVariants"]
    ]
    return Unit(
        endpoint=endpoint,
        version=tags.get(VERSION_TAG, ""),
        model={**kept_model, "PrimaryContainer": container},
        config={**kept_config, "ProductionVariants": variants},
        tags={
            key: value
            for key, value in tags.items()
            if key != MANAGED_BY_TAG and not key.startswith("segserve:")
        },
    )
