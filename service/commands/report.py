"""Write the report of a version: `segserve report`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import StoreOption, VersionArgument
from service.errors import MissingExtraError, ModelNotFoundError, ServiceError, UntrustedArtifactError

if TYPE_CHECKING:
    from service.artifact import Artifact
    from service.settings import Settings


def report(
    version: VersionArgument = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="HTML file to write.", dir_okay=False)
    ] = Path("report.html"),
    store: StoreOption = None,
) -> None:
    """Write the report of a version as one HTML file that needs no network."""
    try:
        from service.training.report.page import render_artifact
    except ModuleNotFoundError as exc:
        raise MissingExtraError("report", extra="train", package=exc.name or "a package") from exc
    from service.durable import whole
    from service.settings import read_settings
    from service.store import find_artifact
    from service.trust import read_signed

    settings = read_settings(model=version, store=store)
    root = Path(settings.store)
    artifact = read_signed(find_artifact(settings.model, store=root), settings)
    content = render_artifact(artifact, previous_names=_previous_names(artifact, settings))
    try:
        with whole(output) as path:
            path.write_bytes(content)
    except OSError as exc:
        raise ServiceError(f"{output} cannot be written: {exc.strerror or exc}") from exc
    typer.echo(f"The report of {artifact.manifest.model_version} is in {output}")


def _previous_names(artifact: "Artifact", settings: "Settings") -> Mapping[int, str]:
    """Return what the segments of the previous version are called, where the store holds it."""
    from service.store import Store
    from service.training.record import read_record
    from service.trust import read_signed

    previous = read_record(artifact).get("lineage")
    name = previous.get("previous") if isinstance(previous, dict) else None
    if not isinstance(name, str):
        return {}
    try:
        before = read_signed(Store(Path(settings.store)).resolve(name), settings)
    except (ModelNotFoundError, UntrustedArtifactError):
        return {}
    return {segment.id: segment.name for segment in before.model.segments}
