"""Bring the image into ECR: `segserve push`."""

from typing import Annotated

import typer

from service.commands.aws import ProfileOption, RegionOption, open_session, say
from service.commands.options import JsonOption


def push(
    image: Annotated[
        str,
        typer.Argument(
            help="An image of the Docker engine; or, without one, a folder with an OCI layout, or the "
            "archive of 'docker save' or of 'docker buildx build --output type=oci'."
        ),
    ],
    *,
    repository: Annotated[str, typer.Option(help="Its name in ECR; made where it is missing.")] = "segserve",
    tag: Annotated[
        str | None, typer.Option(help="Default: the image's version and git revision.", show_default=False)
    ] = None,
    registry_url: Annotated[
        str | None,
        typer.Option(help="Where to reach ECR's registry. Default: as ECR says.", show_default=False),
    ] = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Push an image to ECR in the form that SageMaker takes, and print its URI by digest."""
    session = open_session("push", region=region, profile=profile)
    import logging

    from service.aws import images
    from service.aws import repository as ecr
    from service.commands.output import print_json

    # It warns of each attempt; what came of them all is said in one sentence.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    with images.opened(image) as opened:
        pushed = ecr.push(session, opened, repository=repository, tag=tag, registry_url=registry_url, say=say)
    if as_json:
        print_json({"uri": pushed.uri, "tag": pushed.tag, "pushed": pushed.is_new})
        return
    say(
        f"{'pushed' if pushed.is_new else 'already there'} as {repository}:{pushed.tag}; deploy it with "
        "--image"
    )
    typer.echo(pushed.uri)
