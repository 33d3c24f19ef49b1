"""Look at and steer the model store: `segserve models`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.commands.aws import ProfileOption, RegionOption
from service.commands.compare import compare_models
from service.commands.options import JsonOption, StoreOption
from service.commands.remote import list_remote, pull_model, push_model
from service.commands.signatures import make_key, sign_model, verify_model
from service.errors import ArtifactError, ModelNotFoundError, StoreError

if TYPE_CHECKING:
    from service.artifact import Artifact
    from service.store import Store

app = typer.Typer(help="List and steer the model versions of a store.", no_args_is_help=True)
app.command("compare")(compare_models)
app.command("push")(push_model)
app.command("pull")(pull_model)
app.command("keygen")(make_key)
app.command("sign")(sign_model)
app.command("verify")(verify_model)

VersionArgument = Annotated[
    str | None,
    typer.Argument(metavar="VERSION", help="A version, latest or production; default: what would be served."),
]


@app.command("list")
def list_models(
    location: Annotated[
        str | None,
        typer.Argument(metavar="S3", help="s3://BUCKET/PREFIX. Default: the store here.", show_default=False),
    ] = None,
    *,
    store: StoreOption = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the versions, newest first."""
    if location is not None:
        list_remote(location, region=region, profile=profile, as_json=as_json)
        return
    from service.commands.output import print_json

    versions = _open(store)
    production, latest = versions.production(), versions.latest()
    rows = [_row(versions, version, production=production, latest=latest) for version in versions.versions()]
    if as_json:
        print_json(rows)
    elif rows:
        _print_rows(rows)
    else:
        typer.echo(f"No model in {versions.root} yet: make one with 'segserve train customers.csv'")
    damaged = [row["version"] for row in rows if "error" in row]
    if damaged:
        raise StoreError(f"{len(damaged)} of {len(rows)} versions cannot be used: {', '.join(damaged)}")


@app.command("show")
def show_model(
    version: VersionArgument = None, *, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Show a version's segments and where it comes from."""
    from dataclasses import asdict

    from service.artifact import read_artifact
    from service.commands.output import console, print_json
    from service.commands.segments import segment_table

    versions = _open(store)
    artifact = read_artifact(versions.resolve(version))
    summary = _summary(artifact, production=versions.production(), latest=versions.latest())
    if as_json:
        segments = [asdict(segment) for segment in artifact.model.segments]
        print_json({**summary, "segments": segments, "provenance": asdict(artifact.manifest.provenance)})
        return
    out = console()
    channels = f" ({', '.join(summary['channels'])})" if summary["channels"] else ""
    out.print(f"{summary['version']}{channels}")
    out.print(segment_table(artifact.model.segments))
    provenance = artifact.manifest.provenance
    libraries = ", ".join(f"{name} {number}" for name, number in provenance.libraries.items())
    out.print(f"digest     {summary['digest']}")
    out.print(f"manifest   {summary['manifest_digest']}")
    out.print(f"signed     {'yes' if summary['signed'] else 'no'}")
    out.print(f"transform  {summary['transform']}")
    out.print(f"trained    {artifact.manifest.created}")
    out.print(f"with       Python {provenance.python}, {libraries}")


@app.command("promote")
def promote_model(version: str, *, store: StoreOption = None) -> None:
    """Put a version into production: it is what 'serve' takes."""
    _open(store).promote(version)
    typer.echo(f"In production: {_open(store).production()}")


@app.command("rollback")
def rollback_model(*, store: StoreOption = None) -> None:
    """Put back into production what was there before."""
    typer.echo(f"In production: {_open(store).rollback()}")


def _open(store: str | None) -> "Store":
    from pathlib import Path

    from service.settings import read_settings
    from service.store import Store

    return Store(Path(read_settings(store=store).store))


def _row(versions: "Store", version: str, *, production: str | None, latest: str | None) -> dict[str, Any]:
    """Return a version's facts, or why it cannot be used."""
    from service.artifact import read_artifact

    try:
        artifact = read_artifact(versions.resolve(version))
    except (ArtifactError, ModelNotFoundError) as exc:
        channels = _channels(version, production=production, latest=latest)
        return {"version": version, "channels": channels, "error": str(exc)}
    return _summary(artifact, production=production, latest=latest)


def _print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from service.commands.output import console

    table = Table(box=None)
    for name in ("version", "k", "customers", "transform", "digest", ""):
        justify: Literal["left", "right"] = "right" if name in {"k", "customers"} else "left"
        table.add_column(name, justify=justify, no_wrap=bool(name))
    for row in rows:
        channels = ", ".join(row["channels"])
        if "error" in row:
            reason = f"{channels}: {row['error']}" if channels else row["error"]
            table.add_row(row["version"], "", "", "", "", escape(reason))
            continue
        table.add_row(
            row["version"],
            str(row["k"]),
            f"{row['customers']:,}",
            row["transform"],
            row["digest"][:12],
            channels,
        )
    console().print(table)


def _summary(artifact: "Artifact", *, production: str | None, latest: str | None) -> dict[str, Any]:
    from service.trust import manifest_digest

    version = artifact.manifest.model_version
    return {
        "version": version,
        "created": artifact.manifest.created,
        "digest": artifact.model.digest,
        "manifest_digest": manifest_digest(artifact),
        "signed": artifact.signature is not None,
        "k": len(artifact.model.centroids),
        "customers": sum(segment.size for segment in artifact.model.segments),
        "transform": artifact.model.transform.value,
        "channels": _channels(version, production=production, latest=latest),
    }


def _channels(version: str, *, production: str | None, latest: str | None) -> list[str]:
    channels = {"production": production, "latest": latest}
    return [name for name, pointed_at in channels.items() if pointed_at == version]
