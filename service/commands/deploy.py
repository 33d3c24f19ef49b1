"""Bring a model version into service on SageMaker: `segserve deploy`, `update` and `rollback`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.aws import (
    DryRunOption,
    EndpointArgument,
    ProfileOption,
    RegionOption,
    TimeoutOption,
    VersionArgument,
    open_session,
    say,
)
from service.commands.options import JsonOption, StoreOption

if TYPE_CHECKING:
    from service.aws.deployer import Outcome
    from service.aws.release import Release
    from service.aws.session import Session

_HOUR_S = 3600

ModelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="S3",
        help="Where the model is put: s3://BUCKET/PREFIX. Default: SageMaker's own bucket.",
        show_default=False,
    ),
]


def deploy(
    version: VersionArgument = None,
    *,
    image: Annotated[str, typer.Option(metavar="URI", help="The image, as 'segserve push' printed it.")],
    role: Annotated[
        str, typer.Option(metavar="ARN", help="The role that SageMaker takes on: its ARN or its name.")
    ],
    name: Annotated[str, typer.Option(help="Name of the endpoint.")] = "segserve",
    instance_type: Annotated[str, typer.Option(help="What it runs on.")] = "ml.m5.xlarge",
    instances: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    serverless: Annotated[
        int | None,
        typer.Option(
            metavar="MEMORY", help="Run serverless with so many MB: 1024 to 6144.", show_default=False
        ),
    ] = None,
    max_concurrency: Annotated[
        int, typer.Option(min=1, max=200, help="Invocations at once of a serverless endpoint.")
    ] = 5,
    async_output: Annotated[
        str | None,
        typer.Option("--async", metavar="S3", help="Answer into this S3 prefix.", show_default=False),
    ] = None,
    data_capture: Annotated[
        str | None,
        typer.Option(
            metavar="S3", help="Keep payloads and answers below this S3 prefix.", show_default=False
        ),
    ] = None,
    capture_percent: Annotated[int, typer.Option(min=0, max=100, help="Share of payloads kept.")] = 100,
    multi_model: Annotated[
        bool, typer.Option("--multi-model", help="Serve every model below the prefix from one endpoint.")
    ] = False,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Tag all that is made. Repeatable.", show_default=False),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(help="Time to live, like 8h: 'delete --expired' then clears it.", show_default=False),
    ] = None,
    scheduler_role: Annotated[
        str | None,
        typer.Option(
            metavar="ARN",
            help="With --ttl: the role with which EventBridge Scheduler deletes the endpoint by itself.",
            show_default=False,
        ),
    ] = None,
    models: ModelsOption = None,
    timeout: TimeoutOption = _HOUR_S,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an endpoint for a model version, or bring the one there is to it, and check its answers."""
    session = open_session("deploy", region=region, profile=profile)
    from service.aws import preflight
    from service.aws.names import parse_tags
    from service.aws.release import Release, expiry_of, model_source
    from service.aws.unit import Hosting, new_unit
    from service.errors import ConfigurationError

    hosting = Hosting(
        instance_type=instance_type,
        instances=instances,
        serverless_mb=serverless,
        max_concurrency=max_concurrency,
        async_output=async_output,
        capture=data_capture,
        capture_percent=capture_percent,
        is_multi_model=multi_model,
        environment=_environment(),
    )
    if scheduler_role is not None and ttl is None:
        raise ConfigurationError(
            "--scheduler-role needs --ttl, which says when the endpoint is to be deleted"
        )
    if scheduler_role is not None:
        session.require("scheduler", option="--scheduler-role")
    tags, expires = parse_tags(tag or []), expiry_of(ttl)
    source = model_source(session, _archive(version, store=store), models=models)
    unit = new_unit(
        name,
        version=source.version,
        image=preflight.pinned_image(session, image),
        role=preflight.role_arn(session, role),
        model_data=source.url(is_multi_model=multi_model),
        hosting=hosting,
        tags=tags,
        expires=expires,
    )
    release = Release(unit, source, scheduler_role=scheduler_role)
    _carry_out(session, release, dry_run=dry_run, timeout=timeout, as_json=as_json)


def update(
    endpoint: EndpointArgument,
    version: VersionArgument = None,
    *,
    image: Annotated[
        str | None, typer.Option(metavar="URI", help="Default: the same image.", show_default=False)
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option(help="Default: the same instance type.", show_default=False)
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option(
            metavar="PERCENT", help="Give this share of the capacity traffic first.", show_default=False
        ),
    ] = None,
    rolling: Annotated[
        int | None,
        typer.Option(
            metavar="PERCENT", help="Replace this share of the capacity at a time.", show_default=False
        ),
    ] = None,
    wait: Annotated[
        int, typer.Option(min=0, max=3600, help="Seconds to watch the first share before the rest follows.")
    ] = 300,
    alarm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Go back when this CloudWatch alarm rings; auto makes two. Repeatable.",
            show_default=False,
        ),
    ] = None,
    timeout: TimeoutOption = 3 * _HOUR_S,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring another model version into service on an endpoint; all its settings stay."""
    session = open_session("update", region=region, profile=profile)
    from service.aws import preflight, rollout
    from service.aws.names import alarm_names
    from service.aws.release import Release, model_source, updated_unit

    archive = _archive(version, store=store)
    unit, source = updated_unit(
        session,
        endpoint,
        lambda models: model_source(session, archive, models=models),
        image=None if image is None else preflight.pinned_image(session, image),
        instance_type=instance_type,
    )
    own_alarms = rollout.AUTOMATIC in (alarm or [])
    if own_alarms:
        session.require("cloudwatch", option="--alarm auto")
    watched = [name for name in alarm or [] if name != rollout.AUTOMATIC]
    deployment = rollout.deployment_config(
        unit,
        canary=canary,
        rolling=rolling,
        wait_s=wait,
        alarms=[*watched, *(alarm_names(endpoint) if own_alarms else ())],
    )
    alarms = tuple(rollout.alarm_calls(endpoint)) if own_alarms else ()
    release = Release(unit, source, deployment=deployment, alarms=alarms)
    _carry_out(session, release, dry_run=dry_run, timeout=timeout, as_json=as_json)


def rollback(
    endpoint: EndpointArgument,
    *,
    timeout: TimeoutOption = _HOUR_S,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put back what the endpoint served before its last update."""
    session = open_session("rollback", region=region, profile=profile)
    from service.aws.deployer import Deployer
    from service.aws.release import check_of_served

    deployer = Deployer(session, endpoint, say=say, timeout_s=timeout)
    _show(session, deployer.roll_back(check_of=lambda unit: check_of_served(session, unit)), as_json=as_json)


def _archive(version: str | None, *, store: str | None) -> Path:
    from service.settings import read_settings
    from service.store import find_artifact
    from service.trust import read_signed

    settings = read_settings(store=store)
    archive = find_artifact(version, store=Path(settings.store))
    read_signed(archive, settings)
    return archive


def _environment() -> dict[str, str]:
    """Return what the endpoint is to trust: the keys that are trusted here, which updates then keep."""
    from service.settings import read_settings
    from service.trust import KEYS, Trust

    pem = Trust.of(read_settings()).pem
    return {} if pem is None else {KEYS: pem}


def _carry_out(session: "Session", release: "Release", *, dry_run: bool, timeout: int, as_json: bool) -> None:
    from service.commands.output import print_json

    if not dry_run:
        _show(session, release.carry_out(session, say=say, timeout_s=timeout), as_json=as_json)
        return
    calls = release.plan(session)
    if as_json:
        print_json([call.as_dict() for call in calls])
        return
    for call in calls:
        typer.echo(str(call))
    if not calls:
        typer.echo(f"Nothing to do: {release.unit.endpoint} already serves {release.unit.version} so")


def _show(session: "Session", outcome: "Outcome", *, as_json: bool) -> None:
    from service.aws.price_table import read_prices
    from service.aws.prices import cost_of
    from service.commands.costs import in_words
    from service.commands.output import print_json

    table = read_prices()
    cost = cost_of(session, outcome.endpoint, table)
    if as_json:
        print_json(
            {
                "endpoint": outcome.endpoint,
                "action": outcome.action,
                "version": outcome.version,
                "config": outcome.unit,
                "hosting": cost.hosting if cost else None,
                "hourly": cost.hourly if cost else None,
                "expires": cost.expires if cost else None,
            }
        )
        return
    typer.echo(
        f"{outcome.endpoint} serves {outcome.version} ({outcome.action}), and answers as the model does"
    )
    if cost:
        typer.echo(f"  {in_words(cost, table)}")
    typer.echo(f"  segserve invoke {outcome.endpoint} --data '[[25, 1250.0]]'")
    typer.echo(f"  segserve delete {outcome.endpoint} --yes")
