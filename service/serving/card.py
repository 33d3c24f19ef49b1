"""Describe the model that is served: for people at /model, and with all that the console draws."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from service.artifact import TRAINING, Artifact
from service.settings import Settings, Switch

_FOR_DRAWING: Final = {"sample", "silhouettes"}
"""Keys of training.json that hold a value for each of many customers."""


def model_card(artifact: Artifact) -> dict[str, Any]:
    """Return what people want to know of a model: segments first, then where it comes from."""
    card = full_card(artifact)
    card["training"] = _without(card["training"], _FOR_DRAWING)
    return card


def full_card(artifact: Artifact) -> dict[str, Any]:
    """Return the model card with the samples that a picture is drawn from."""
    model, manifest = artifact.model, artifact.manifest
    return {
        "model_version": manifest.model_version,
        "model_digest": model.digest,
        "created": manifest.created,
        "features": model.features,
        "zero_purchase_rule": model.zero_purchase_rule,
        "transform": model.transform,
        "scaling": {"mean": model.mean, "scale": model.scale},
        "border_ratio": model.border_ratio,
        "income_median": model.income_median,
        "segments": [
            {
                "id": segment.id,
                "name": segment.name,
                "size": segment.size,
                "share": segment.share,
                "profile": segment.profile,
                "outlier_distance": segment.outlier_distance,
                "centroid_scaled": centroid,
            }
            for segment, centroid in zip(model.segments, model.centroids, strict=True)
        ],
        "training": orjson.loads(artifact.files.get(TRAINING, b"{}")),
        "provenance": manifest.provenance,
    }


def server_facts(settings: Settings) -> dict[str, Any]:
    """Return what a page must know of the server before it sends anything."""
    return {
        "max_payload_bytes": settings.max_payload_bytes,
        "has_runtime_api": getattr(settings, "runtime_api", Switch.OFF) is Switch.ON,
    }


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _without(child, names) for name, child in value.items() if name not in names}
    return [_without(child, names) for child in value] if isinstance(value, list) else value
