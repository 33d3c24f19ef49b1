"""Propose how a batch transform job should call."""

from service import contract
from service.settings import Settings


def execution_parameters(settings: Settings) -> dict[str, int | str]:
    """Return what /execution-parameters proposes; concurrency times payload stays within 100 MB (C50)."""
    transforms = max(1, settings.max_concurrent_transforms or settings.workers)
    transforms = min(transforms, contract.BATCH_PAYLOAD_BUDGET_MB)
    payload_mb = min(
        settings.max_payload_mb or contract.BATCH_PAYLOAD_BUDGET_MB,
        contract.BATCH_DEFAULT_PAYLOAD_MB if not settings.batch else contract.BATCH_PAYLOAD_BUDGET_MB,
        contract.BATCH_PAYLOAD_BUDGET_MB // transforms,
    )
    return {
        "MaxConcurrentTransforms": transforms,
        "BatchStrategy": settings.batch_strategy,
        "MaxPayloadInMB": payload_mb,
    }
