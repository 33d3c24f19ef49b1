"""Show the versions of the store that the served model came from."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from service.artifact import VERSION_PATTERN, Artifact, read_artifact
from service.errors import ArtifactError, ModelNotFoundError
from service.serving.card import full_card
from service.settings import Settings
from service.store import Store

_MAX_LISTED: Final = 50


def find_store(settings: Settings) -> Store | None:
    """Return the store that the settings serve from, None where the model is a file or folder of its own."""
    wish = settings.model
    if wish is None:
        return None if settings.has_unpacked_model else Store(Path(settings.store))
    return None if "/" in wish or Path(wish).exists() else Store(Path(settings.store))


def list_versions(store: Store, *, served: str) -> dict[str, Any]:
    """Return the newest versions with their figures.

    Raises:
        StoreError: The store cannot be read.
    """
    names, production = store.versions(), store.production()
    return {
        "total": len(names),
        "versions": [
            {
                "version": name,
                "is_served": name == served,
                "is_production": name == production,
                "is_latest": name == names[0],
                **_summary(store, name),
            }
            for name in names[:_MAX_LISTED]
        ],
    }


def version_card(store: Store, name: str) -> dict[str, Any]:
    """Return the card of one version.

    Raises:
        ModelNotFoundError: The store does not hold it.
        ArtifactError: It cannot be used.
    """
    if VERSION_PATTERN.fullmatch(name) is None:
        raise ModelNotFoundError("that is not a version's id; /console/versions lists them")
    return full_card(_read(store.resolve(name)))


def _summary(store: Store, name: str) -> dict[str, Any]:
    """Return a version's figures, or what is wrong with it."""
    try:
        artifact = _read(store.resolve(name))
    except (ArtifactError, ModelNotFoundError, OSError) as exc:
        return {"problem": str(exc) if not isinstance(exc, OSError) else f"cannot be read: {exc.strerror}"}
    card = full_card(artifact)
    return {
        "created": artifact.manifest.created,
        "k": len(artifact.model.segments),
        "customers": sum(segment.size for segment in artifact.model.segments),
        "transform": artifact.model.transform,
        "digest": artifact.model.digest,
        "silhouette": card["training"].get("metrics", {}).get("silhouette"),
        "segments": [{"id": segment.id, "name": segment.name} for segment in artifact.model.segments],
    }


@lru_cache(maxsize=_MAX_LISTED)
def _read(path: Path) -> Artifact:
    """Read a version once: none is ever changed."""
    return read_artifact(path)
