"""Find and verify the model to serve."""

import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from service import contract
from service.artifact import MANIFEST, MODEL, TRAINING, Artifact
from service.errors import ConfigurationError, CorruptArtifactError, ModelNotFoundError
from service.serving.invocation import ServedModel
from service.serving.kernel import Edges, make_kernel
from service.serving.media import Media, can_produce, produced_types
from service.serving.reasons import read_rules
from service.settings import Settings
from service.store import find_artifact
from service.trust import read_trusted

_logger = logging.getLogger(__name__)


def load_artifact(settings: Settings) -> Artifact:
    """Return the artifact that the settings ask for.

    Without a wish it is the one in SageMaker's folder, else the store's production, else its latest version.

    Raises:
        ModelNotFoundError: There is none.
        ArtifactError: It cannot be used, or is not trusted.
    """
    path = find_model(settings)
    artifact = read_trusted(path, settings)
    _logger.info(
        "Model loaded version=%s digest=%s path=%s",
        artifact.manifest.model_version,
        artifact.model.digest,
        path,
    )
    return artifact


def served_model(artifact: Artifact, settings: Settings, *, edges: Edges | None = None) -> ServedModel:
    """Return a model with the defaults that the settings ask for.

    Args:
        artifact: Holds the model.
        settings: The server's.
        edges: Of the bins in which features are counted; None to count none.

    Raises:
        ConfigurationError: Answers of the default content type cannot be produced, or the kernel is wanted
            and cannot be used.
    """
    check_default_accept(settings)
    return ServedModel(
        model=artifact.model,
        version=artifact.manifest.model_version,
        default_accept=settings.default_accept or Media.JSON.value,
        on_error=settings.on_error,
        rules=read_rules(artifact.files.get(TRAINING)),
        kernel=make_kernel(artifact.model, settings.kernel, edges=edges),
    )


def check_default_accept(settings: Settings) -> None:
    """Raise ConfigurationError unless answers of the default content type can be produced."""
    if settings.default_accept and not can_produce(settings.default_accept):
        raise ConfigurationError(
            f"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT={settings.default_accept!r} is not accepted: "
            f"it should be one of {', '.join(produced_types())}"
        )


def find_model(settings: Settings) -> Path:
    """Return where the model is that the settings ask for.

    Raises:
        ModelNotFoundError: There is none.
    """
    if settings.model is None and settings.has_unpacked_model:
        return settings.model_dir
    try:
        return find_artifact(settings.model, store=Path(settings.store))
    except ModelNotFoundError as exc:
        if settings.model is not None:
            raise
        raise ModelNotFoundError(f"{settings.model_dir} holds no model, and {exc}") from None


def read_model_at(url: str, settings: Settings) -> tuple[ServedModel, str]:
    """Return a verified model and its digest, given its folder or archive as a path or file:// URI.

    Raises:
        ArtifactError: It cannot be used.
    """
    path = Path(unquote(urlsplit(url).path) if url.startswith("file://") else url)
    try:
        if not (path / MANIFEST).exists() and (path / contract.MODEL_DIR).is_dir():
            path /= contract.MODEL_DIR
    except OSError as exc:
        raise CorruptArtifactError(f"{str(path)[:80]} cannot be read: {exc.strerror or exc}") from exc
    artifact = read_trusted(path, settings)
    return served_model(artifact, settings), artifact.manifest.files[MODEL].sha256
