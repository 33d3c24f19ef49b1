"""Open AWS for a command, and hold the options that its commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.errors import MissingExtraError

if TYPE_CHECKING:
    from service.aws.session import Session

RegionOption = Annotated[
    str | None, typer.Option(help="AWS region. Default: that of the AWS configuration.", show_default=False)
]
ProfileOption = Annotated[
    str | None, typer.Option(help="Profile of the AWS configuration.", show_default=False)
]
EndpointArgument = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Name of the endpoint.")]
VersionArgument = Annotated[
    str | None,
    typer.Argument(metavar="VERSION", help="A version, latest or production; default: what would be served."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the exact API calls, and change nothing.")
]
TimeoutOption = Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait for the endpoint.")]


def open_session(command: str, *, region: str | None, profile: str | None) -> "Session":
    """Return a connection to AWS.

    Raises:
        MissingExtraError: boto3 is not installed.
        ConfigurationError: No region is set, or there is no such profile.
    """
    try:
        from service.aws.session import Session
    except ModuleNotFoundError as exc:
        raise MissingExtraError(command, extra="aws", package=exc.name or "a package") from exc
    return Session(region=region, profile=profile)


def say(line: str) -> None:
    """Show a line of progress, on stderr: stdout is for the result."""
    typer.echo(line, err=True)
