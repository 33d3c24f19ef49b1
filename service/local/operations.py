"""List the operations that are emulated, and what becomes of each member of their requests."""

from dataclasses import dataclass
from typing import Final

_PAGE: Final = ("NextToken", "MaxResults", "NameContains", "SortBy", "SortOrder")
_CREATED: Final = ("CreationTimeBefore", "CreationTimeAfter")
_MODIFIED: Final = ("LastModifiedTimeBefore", "LastModifiedTimeAfter")


@dataclass(frozen=True, slots=True)
class Operation:
    """Say which members of a request have effect, and which are only kept and shown again."""

    name: str
    honoured: tuple[str, ...]
    recorded: tuple[str, ...] = ()
    """Accepted and shown again, where the operation has an answer for it; without effect on this machine.
    A member that is in neither is refused by its name."""


CONTROL: Final = (
    Operation(
        "CreateModel",
        ("ModelName", "PrimaryContainer", "Containers", "Tags"),
        ("ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation"),
    ),
    Operation("DescribeModel", ("ModelName",)),
    Operation("ListModels", (*_PAGE, *_CREATED)),
    Operation("DeleteModel", ("ModelName",)),
    Operation(
        "CreateEndpointConfig",
        ("EndpointConfigName", "ProductionVariants", "AsyncInferenceConfig", "Tags"),
        (
            "DataCaptureConfig",
            "KmsKeyId",
            "ExecutionRoleArn",
            "VpcConfig",
            "EnableNetworkIsolation",
            "MetricsConfig",
        ),
    ),
    Operation("DescribeEndpointConfig", ("EndpointConfigName",)),
    Operation("ListEndpointConfigs", (*_PAGE, *_CREATED)),
    Operation("DeleteEndpointConfig", ("EndpointConfigName",)),
    Operation("CreateEndpoint", ("EndpointName", "EndpointConfigName", "Tags"), ("DeploymentConfig",)),
    Operation("DescribeEndpoint", ("EndpointName",)),
    Operation("ListEndpoints", (*_PAGE, *_CREATED, *_MODIFIED, "StatusEquals")),
    Operation(
        "UpdateEndpoint",
        (
            "EndpointName",
            "EndpointConfigName",
            "DeploymentConfig",
            "RetainDeploymentConfig",
            "RetainAllVariantProperties",
            "ExcludeRetainedVariantProperties",
        ),
    ),
    Operation("UpdateEndpointWeightsAndCapacities", ("EndpointName", "DesiredWeightsAndCapacities")),
    Operation("DeleteEndpoint", ("EndpointName",)),
    Operation(
        "CreateTrainingJob",
        (
            "TrainingJobName",
            "AlgorithmSpecification",
            "HyperParameters",
            "InputDataConfig",
            "OutputDataConfig",
            "ResourceConfig",
            "StoppingCondition",
            "EnableNetworkIsolation",
            "Environment",
            "Tags",
        ),
        (
            "RoleArn",
            "VpcConfig",
            "EnableInterContainerTrafficEncryption",
            "EnableManagedSpotTraining",
            "ExperimentConfig",
            "DebugHookConfig",
            "ProfilerConfig",
        ),
    ),
    Operation("DescribeTrainingJob", ("TrainingJobName",)),
    Operation("ListTrainingJobs", (*_PAGE, *_CREATED, *_MODIFIED, "StatusEquals")),
    Operation("StopTrainingJob", ("TrainingJobName",)),
    Operation("DeleteTrainingJob", ("TrainingJobName",)),
    Operation(
        "CreateTransformJob",
        (
            "TransformJobName",
            "ModelName",
            "MaxConcurrentTransforms",
            "ModelClientConfig",
            "MaxPayloadInMB",
            "BatchStrategy",
            "Environment",
            "TransformInput",
            "TransformOutput",
            "TransformResources",
            "Tags",
        ),
        ("ExperimentConfig",),
    ),
    Operation("DescribeTransformJob", ("TransformJobName",)),
    Operation("ListTransformJobs", (*_PAGE, *_CREATED, *_MODIFIED, "StatusEquals")),
    Operation("StopTransformJob", ("TransformJobName",)),
    Operation("AddTags", ("ResourceArn", "Tags")),
    Operation("ListTags", ("ResourceArn", "NextToken", "MaxResults")),
    Operation("DeleteTags", ("ResourceArn", "TagKeys")),
)
"""Of the service `sagemaker`. Source: SageMaker API reference, by way of botocore's service model."""

RUNTIME: Final = (
    Operation(
        "InvokeEndpoint",
        (
            "EndpointName",
            "Body",
            "ContentType",
            "Accept",
            "CustomAttributes",
            "TargetVariant",
            "InferenceId",
            "SessionId",
        ),
    ),
    Operation(
        "InvokeEndpointWithResponseStream",
        (
            "EndpointName",
            "Body",
            "ContentType",
            "Accept",
            "CustomAttributes",
            "TargetVariant",
            "InferenceId",
            "SessionId",
        ),
    ),
    Operation(
        "InvokeEndpointAsync",
        (
            "EndpointName",
            "ContentType",
            "Accept",
            "CustomAttributes",
            "InferenceId",
            "InputLocation",
            "InvocationTimeoutSeconds",
        ),
    ),
)
"""Of the service `sagemaker-runtime`."""

BY_NAME: Final = {operation.name: operation for operation in CONTROL}
