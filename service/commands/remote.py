"""Bring model versions to S3 and back: `segserve models push`, `models pull` and `models list s3://...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.aws import ProfileOption, RegionOption, VersionArgument, open_session, say
from service.commands.options import JsonOption, StoreOption

if TYPE_CHECKING:
    from service.aws.artifacts import RemoteStore

LocationArgument = Annotated[str, typer.Argument(metavar="S3", help="s3://BUCKET/PREFIX")]


def push_model(
    location: LocationArgument,
    version: VersionArgument = None,
    *,
    register: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP", help="Enter it into SageMaker's model registry too.", show_default=False
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="URI", help="With --register: the image that serves it.", show_default=False),
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="With --register: approved at once, not pending.")
    ] = False,
    store: StoreOption = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a version to S3; what is there already is left as it is."""
    from service.artifact import ARCHIVE
    from service.commands.output import print_json
    from service.errors import ConfigurationError
    from service.settings import read_settings
    from service.store import find_artifact
    from service.trust import read_signed

    if register is not None and image is None:
        raise ConfigurationError(
            "--register needs --image, the image that serves the model: 'segserve push' prints it"
        )
    if register is None and (image is not None or approve):
        raise ConfigurationError("--image and --approve go with --register")
    settings = read_settings(store=store)
    archive = find_artifact(version, store=Path(settings.store))
    artifact = read_signed(archive, settings)
    if not archive.is_file():
        raise ConfigurationError(f"{archive} is an unpacked model: name its {ARCHIVE}")
    remote = open_remote(location, region=region, profile=profile, command="models push")
    number = artifact.manifest.model_version
    is_new = remote.add(number, archive)
    url = remote.location.url(number, ARCHIVE)
    package = None
    if register is not None and image is not None:
        from service.aws import packages, preflight

        metrics = packages.metrics_document(artifact)
        package = packages.register(
            remote.session,
            register,
            artifact=artifact,
            image=preflight.pinned_image(remote.session, image),
            model_data=url,
            metrics_url=remote.put(f"{number}/metrics.json", metrics),
            is_approved=approve,
        )
    if as_json:
        print_json({"version": number, "url": url, "written": is_new, "package": package})
        return
    say("written" if is_new else "already there")
    typer.echo(url)
    if package:
        typer.echo(package)


def pull_model(
    location: LocationArgument,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: the newest.", show_default=False)
    ] = None,
    *,
    store: StoreOption = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a version from S3 into the store, verified."""
    import tempfile

    from service.commands.output import print_json
    from service.settings import read_settings
    from service.store import Store
    from service.trust import read_signed

    remote = open_remote(location, region=region, profile=profile, command="models pull")
    wanted = remote.resolve(version)
    settings = read_settings(store=store)
    target = Store(Path(settings.store))
    with tempfile.TemporaryDirectory() as folder:
        archive = remote.fetch(wanted, Path(folder))
        read_signed(archive, settings)
        is_new = target.receive(archive, version=wanted)
    path = target.resolve(wanted)
    if as_json:
        print_json({"version": wanted, "path": str(path), "written": is_new})
        return
    say("written" if is_new else "already there")
    typer.echo(str(path))


def list_remote(location: str, *, region: str | None, profile: str | None, as_json: bool) -> None:
    """List the versions below an S3 prefix, newest first."""
    from rich.table import Table

    from service.commands.output import console, print_json

    remote = open_remote(location, region=region, profile=profile, command="models list")
    rows = [{"version": version, **remote.facts(version)} for version in remote.versions()]
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo(
            f"No model in {remote.location.url()} yet: 'segserve models push {location}' puts one there"
        )
        return
    table = Table(box=None)
    for name in ("version", "bytes", "written"):
        table.add_column(name, justify="right" if name == "bytes" else "left")
    for row in rows:
        table.add_row(row["version"], f"{row['size']:,}", row["written"])
    console().print(table)


def open_remote(location: str, *, region: str | None, profile: str | None, command: str) -> "RemoteStore":
    """Return the model store below an S3 prefix."""
    session = open_session(command, region=region, profile=profile)
    from service.aws.artifacts import Location, RemoteStore

    return RemoteStore(session, Location.parse(location))
