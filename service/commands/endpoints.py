"""Look at, ask, scale and delete endpoints: `segserve status`, `invoke`, `autoscale` and `delete`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.aws import (
    DryRunOption,
    EndpointArgument,
    ProfileOption,
    RegionOption,
    open_session,
    say,
)
from service.commands.options import JsonOption
from service.errors import ConfigurationError
from service.tracking import DEFAULT_MAXIMUM, DEFAULT_MINIMUM, DEFAULT_TARGET

if TYPE_CHECKING:
    from service.aws.session import Session

_DETAIL = "detail=full"


def status(
    endpoint: Annotated[
        str | None,
        typer.Argument(metavar="ENDPOINT", help="Default: all that segserve made.", show_default=False),
    ] = None,
    *,
    logs: Annotated[bool, typer.Option("--logs", help="Show the end of its container's log too.")] = False,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an endpoint serves, on what, since when and until when."""
    session = open_session("status", region=region, profile=profile)
    from service.aws import inventory
    from service.aws.endpoint import Endpoint, no_log
    from service.aws.summary import summarize
    from service.commands.output import print_json

    names = [endpoint] if endpoint else [thing.name for thing in inventory.endpoints(session)]
    rows = [summarize(session, name) for name in names]
    if logs:
        rows = [
            {**row, "log": Endpoint(session, row["endpoint"]).log_tail(40, reason=row["reason"])}
            for row in rows
        ]
    if as_json:
        print_json(rows[0] if endpoint else rows)
        return
    if not rows:
        typer.echo(f"segserve has no endpoint in {session.region}")
    for row in rows:
        typer.echo(f"{row['endpoint']}  {row['status']}")
        for name, value in row.items():
            if name not in {"endpoint", "status", "log"} and value not in {None, ""}:
                typer.echo(f"  {name:<10} {value}")
        for line in row.get("log", ()):
            typer.echo(f"  | {line}")
        if row.get("log") == []:
            typer.echo(f"  {no_log(session)}")


def invoke(
    endpoint: EndpointArgument,
    source: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Payload; - is stdin.", show_default=False)
    ] = None,
    *,
    data: Annotated[str | None, typer.Option(help="The payload itself.", show_default=False)] = None,
    content_type: Annotated[
        str | None,
        typer.Option(help="Default: by the file's ending, else JSON or CSV by its look.", show_default=False),
    ] = None,
    accept: Annotated[
        str | None, typer.Option(help="Default: the payload's content type.", show_default=False)
    ] = None,
    detail: Annotated[
        bool, typer.Option("--detail", help="Ask for names, distances and confidence.")
    ] = False,
    attributes: Annotated[
        str | None, typer.Option(help="Custom attributes for the container.", show_default=False)
    ] = None,
    target_model: Annotated[
        str | None,
        typer.Option(help="Which version of a multi-model endpoint.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the answer.", show_default=False)
    ] = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
) -> None:
    """Send a payload to an endpoint and print its answer."""
    body = _payload(source, data)
    kind = content_type or _content_type(source, body)
    session = open_session("invoke", region=region, profile=profile)
    from service.artifact import VERSION_PATTERN
    from service.aws.endpoint import Endpoint
    from service.aws.invocations import Request, invoke_async
    from service.aws.invocations import invoke as invoke_now

    if target_model and VERSION_PATTERN.fullmatch(target_model):
        target_model = f"{target_model}/model.tar.gz"
    both = ";".join(word for word in (attributes, _DETAIL if detail else None) if word)
    request = Request(body, kind, accept or kind, attributes=both or None, target_model=target_model)
    looked_at = Endpoint(session, endpoint)
    described = looked_at.require()
    if described["EndpointStatus"] == "InService" and described.get("AsyncInferenceConfig"):
        answer = invoke_async(session, endpoint, request, config=described["AsyncInferenceConfig"])
    else:
        answer = invoke_now(session, endpoint, request)
    if output:
        try:
            output.write_bytes(answer.body)
        except OSError as exc:
            raise ConfigurationError(f"{output} cannot be written: {exc.strerror}") from None
        return
    sys.stdout.buffer.write(answer.body if answer.body.endswith(b"\n") else answer.body + b"\n")
    sys.stdout.buffer.flush()


def autoscale(
    endpoint: EndpointArgument,
    *,
    minimum: Annotated[int, typer.Option("--min", min=0, help="Instances at least.")] = DEFAULT_MINIMUM,
    maximum: Annotated[int, typer.Option("--max", min=1, help="Instances at most.")] = DEFAULT_MAXIMUM,
    target: Annotated[
        float,
        typer.Option(help="Invocations a minute and instance to aim at; waiting ones when asynchronous."),
    ] = DEFAULT_TARGET,
    off: Annotated[bool, typer.Option("--off", help="Stop scaling.")] = False,
    dry_run: DryRunOption = False,
    region: RegionOption = None,
    profile: ProfileOption = None,
) -> None:
    """Let an endpoint's number of instances follow its traffic."""
    session = open_session("autoscale", region=region, profile=profile)
    from service.aws import scaling
    from service.aws.endpoint import Endpoint

    session.require(scaling.SERVICE, option="autoscale")
    looked_at = Endpoint(session, endpoint)
    described = looked_at.require_ours()
    if off:
        stopped = scaling.deregister(session, endpoint)
        typer.echo(f"{endpoint} {'no longer scales' if stopped else 'did not scale'}")
        return
    unit = looked_at.unit(described["EndpointConfigName"])
    calls = scaling.scaling_calls(unit, minimum=minimum, maximum=maximum, target=target)
    for call in calls:
        if dry_run:
            typer.echo(str(call))
        else:
            call.make(session)
    if not dry_run:
        typer.echo(f"{endpoint} scales between {minimum} and {maximum} instances, aiming at {target:g} each")


def delete(
    endpoint: Annotated[
        str | None, typer.Argument(metavar="ENDPOINT", help="Name of the endpoint.", show_default=False)
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Everything that segserve made in the region.")
    ] = False,
    expired: Annotated[bool, typer.Option("--expired", help="What has outlived its --ttl.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete an endpoint with all that was made for it, and check that nothing is left."""
    if [endpoint is not None, every, expired].count(True) != 1:
        raise ConfigurationError("delete needs one of: the name of an endpoint, --all, --expired")
    session = open_session("delete", region=region, profile=profile)
    from service.aws import deletion
    from service.commands.output import print_json

    names, bills = _to_delete(session, endpoint, every=every, expired=expired)
    if names and not yes:
        typer.echo(f"To be deleted in {session.region}: {', '.join(names)}", err=True)
        if not sys.stdin.isatty() or not typer.confirm("Delete?", err=True):
            raise ConfigurationError("nothing was deleted: confirm, or give --yes")
    if every:
        removed = deletion.delete_all(session, say=say)
    else:
        removed = [thing for name in names for thing in deletion.delete_endpoint(session, name, say=say)]
    if as_json:
        print_json({"deleted": removed, "no_longer_bills": bills})
        return
    if not removed:
        typer.echo(f"Nothing to delete in {session.region}: none of it is there")
        return
    typer.echo(f"Deleted {len(removed)} things; nothing of them is left")
    for line in bills:
        typer.echo(f"  no longer bills: {line}")


def _to_delete(
    session: "Session", endpoint: str | None, *, every: bool, expired: bool
) -> tuple[list[str], list[str]]:
    """Return the endpoints concerned, and what each that runs costs."""
    from datetime import UTC, datetime

    from service.aws import deletion, inventory
    from service.aws.price_table import read_prices
    from service.aws.prices import cost_of
    from service.commands.costs import in_words

    table = read_prices()
    if every:
        names = sorted({thing.endpoint for thing in inventory.made(session)})
    elif expired:
        names = deletion.expired(session, now=datetime.now(UTC))
    else:
        names = [endpoint or ""]
    costs = [cost for name in names if (cost := cost_of(session, name, table))]
    return names, [
        f"{cost.endpoint}, which {in_words(cost, table).partition(', until')[0]}"
        for cost in costs
        if cost.is_ours
    ]


def _payload(source: str | None, data: str | None) -> bytes:
    if (source is None) == (data is None):
        raise ConfigurationError("invoke needs one payload: a file, - for stdin, or --data")
    if data is not None:
        return data.encode()
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(str(source)).read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"{source} cannot be read: {exc.strerror}") from None


def _content_type(source: str | None, body: bytes) -> str:
    endings: dict[str, Any] = {
        ".json": "application/json",
        ".jsonl": "application/jsonlines",
        ".csv": "text/csv",
        ".npy": "application/x-npy",
    }
    by_ending = endings.get(Path(source or "").suffix.lower())
    return by_ending or ("application/json" if body.lstrip()[:1] in {b"[", b"{"} else "text/csv")
