"""Bring an image into ECR: make the repository, choose a tag that is free, push, check what arrived."""

import base64
import re
import subprocess
from dataclasses import dataclass
from typing import Final

from service import __version__
from service.aws.endpoint import Say
from service.aws.images import DOCKER_MANIFEST, Image
from service.aws.names import MANAGED_BY, MANAGED_BY_TAG, tag_list
from service.aws.refusals import unless_missing
from service.aws.registry import Registry
from service.aws.session import Session
from service.errors import AwsError, ConfigurationError

_NAME: Final = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""Source: API_CreateRepository."""
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REVISION_CHARACTERS: Final = 12


@dataclass(frozen=True, slots=True)
class Pushed:
    """Hold where an image is."""

    uri: str
    """By digest: what deploy uses."""
    tag: str
    is_new: bool


def tag_of(image: Image) -> str:
    """Return version and git revision as a tag: those of the image's labels, else of the code at hand."""
    words = [image.version or __version__, image.revision or _git_revision() or ""]
    tag = "-".join(word[:_REVISION_CHARACTERS] if index else word for index, word in enumerate(words) if word)
    return re.sub(r"[^A-Za-z0-9._-]", "-", tag)[:100]


def push(
    session: Session, image: Image, *, repository: str, tag: str | None, registry_url: str | None, say: Say
) -> Pushed:
    """Push an image and return its URI by digest; an image that is there already is not sent again.

    Args:
        session: Whose.
        image: What to push.
        repository: Its name in ECR; made where it is missing, with immutable tags and a scan on push.
        tag: None stands for version and git revision.
        registry_url: Where to reach ECR's registry, None as ECR says.
        say: Hears of progress.

    Raises:
        ConfigurationError: The name or the tag is not accepted, or the tag holds another image.
        AwsError: ECR refuses.
    """
    if not _NAME.fullmatch(repository) or not 2 <= len(repository) <= 256:
        raise ConfigurationError(
            f"--repository {repository[:80]!r} is not accepted: small letters, digits and . _ - / between "
            "them, 2 to 256"
        )
    if tag is not None and not _TAG.fullmatch(tag):
        raise ConfigurationError(
            f"--tag {tag[:80]!r} is not accepted: letters, digits and . _ -, at most 128"
        )
    host = _make_repository(session, repository, say=say)
    chosen = _free_tag(session, image, repository=repository, wanted=tag, say=say)
    uri = f"{host}@{image.digest}"
    if chosen is None:
        return Pushed(uri, tag or tag_of(image), is_new=False)
    data = session.call("ecr", "get_authorization_token")["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    registry = Registry(registry_url or data["proxyEndpoint"], user=user, password=password)
    registry.push(repository, chosen, image, say=say)
    if registry_url is None:
        _check_arrival(session, image, repository)
    return Pushed(uri, chosen, is_new=True)


def _make_repository(session: Session, name: str, *, say: Say) -> str:
    """Return the repository's URI."""
    found = unless_missing(
        session.call, service="ecr", operation="describe_repositories", repositoryNames=[name]
    )
    if found:
        return str(found["repositories"][0]["repositoryUri"])
    made = session.call(
        "ecr",
        "create_repository",
        repositoryName=name,
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
        tags=tag_list({MANAGED_BY_TAG: MANAGED_BY}),
    )
    say(f"made the repository {name}: immutable tags, scanned on push")
    return str(made["repository"]["repositoryUri"])


def _free_tag(session: Session, image: Image, *, repository: str, wanted: str | None, say: Say) -> str | None:
    """Return the tag to push under, None where this very image is there under it."""
    tag = wanted or tag_of(image)
    held = _digest_of(session, repository, tag)
    if held == image.digest:
        return None
    if held is None:
        return tag
    if wanted is not None:
        raise ConfigurationError(
            f"the tag {tag!r} of {repository} holds another image, and tags are immutable: give another --tag"
        )
    other = f"{tag}-{image.digest[7:15]}"
    say(f"the tag {tag} holds another image, and tags are immutable: this one becomes {other}")
    return None if _digest_of(session, repository, other) == image.digest else other


def _digest_of(session: Session, repository: str, tag: str) -> str | None:
    found = unless_missing(
        session.call,
        service="ecr",
        operation="describe_images",
        repositoryName=repository,
        imageIds=[{"imageTag": tag}],
    )
    return str(found["imageDetails"][0]["imageDigest"]) if found and found["imageDetails"] else None


def _check_arrival(session: Session, image: Image, repository: str) -> None:
    """Raise AwsError unless ECR holds the image in the form that SageMaker takes."""
    details = session.call(
        "ecr", "describe_images", repositoryName=repository, imageIds=[{"imageDigest": image.digest}]
    )
    media_type = details["imageDetails"][0].get("imageManifestMediaType")
    if media_type != DOCKER_MANIFEST:
        raise AwsError(
            f"ECR holds the image as {media_type}, which SageMaker refuses; it should be {DOCKER_MANIFEST}"
        )


def _git_revision() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607  # git is where the user has it
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
