"""Enter a model version into SageMaker's model registry, with its metrics and an approval to be given."""

import json
from collections.abc import Mapping
from typing import Any, Final

from service.artifact import TRAINING, Artifact
from service.aws.names import MANAGED_BY, MANAGED_BY_TAG, VERSION_TAG, tag_list
from service.aws.session import Session
from service.errors import AwsError

PENDING: Final = "PendingManualApproval"
APPROVED: Final = "Approved"

_CONTENT_TYPES: Final = ["application/json", "application/jsonlines", "text/csv", "application/x-npy"]
_INSTANCE_TYPES: Final = [
    "ml.m5.large",
    "ml.m5.xlarge",
    "ml.m5.2xlarge",
    "ml.c5.large",
    "ml.c5.xlarge",
    "ml.c5.2xlarge",
]


def metrics_document(artifact: Artifact) -> bytes:
    """Return the training metrics in the form that SageMaker Studio draws.

    Source: AWS guide, "Monitor model quality", the JSON of multiclass and regression metrics: name, value.
    """
    training = json.loads(artifact.files.get(TRAINING, b"{}"))
    metrics = training.get("metrics", {}) if isinstance(training, dict) else {}
    numbers = {
        name: {"value": value, "standard_deviation": "NaN"}
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return json.dumps({"clustering_metrics": numbers}, indent=1).encode()


def register(
    session: Session,
    group: str,
    *,
    artifact: Artifact,
    image: str,
    model_data: str,
    metrics_url: str,
    is_approved: bool,
) -> str:
    """Make a model package, and its group where it is missing; return its ARN, the same for the same version.

    Args:
        session: Whose.
        group: Name of the model package group.
        artifact: The model.
        image: URI of the container image that serves it.
        model_data: URL of its `model.tar.gz`.
        metrics_url: URL of `metrics_document`.
        is_approved: Whether it may be deployed at once.
    """
    version = artifact.manifest.model_version
    _make_group(session, group)
    known = session.pages(
        "sagemaker", "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=group
    )
    for summary in known:
        arn = str(summary["ModelPackageArn"])
        package = session.call("sagemaker", "describe_model_package", ModelPackageName=arn)
        containers = package.get("InferenceSpecification", {}).get("Containers", [])
        if [(item.get("Image"), item.get("ModelDataUrl")) for item in containers] == [(image, model_data)]:
            return arn
    answer = session.call(
        "sagemaker",
        "create_model_package",
        ModelPackageGroupName=group,
        ModelPackageDescription=f"segserve model {version}",
        ModelApprovalStatus=APPROVED if is_approved else PENDING,
        InferenceSpecification={
            "Containers": [{"Image": image, "ModelDataUrl": model_data}],
            "SupportedContentTypes": _CONTENT_TYPES,
            "SupportedResponseMIMETypes": _CONTENT_TYPES,
            "SupportedRealtimeInferenceInstanceTypes": _INSTANCE_TYPES,
            "SupportedTransformInstanceTypes": _INSTANCE_TYPES,
        },
        ModelMetrics={
            "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": metrics_url}}
        },
        CustomerMetadataProperties=_properties(artifact),
    )
    return str(answer["ModelPackageArn"])


def _make_group(session: Session, group: str) -> None:
    try:
        session.call(
            "sagemaker",
            "create_model_package_group",
            ModelPackageGroupName=group,
            ModelPackageGroupDescription="Customer segmentation models made by segserve",
            Tags=tag_list({MANAGED_BY_TAG: MANAGED_BY}),
        )
    except AwsError as exc:
        if not exc.is_taken:
            raise


def _properties(artifact: Artifact) -> Mapping[str, Any]:
    provenance = artifact.manifest.provenance
    properties = {
        VERSION_TAG: artifact.manifest.model_version,
        "segserve:model-digest": artifact.model.digest,
        "segserve:data-digest": provenance.data_digest,
        "segserve:git-revision": provenance.git_revision or "unknown",
    }
    return {key: value[:256] for key, value in properties.items()}
