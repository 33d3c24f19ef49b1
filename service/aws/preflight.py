"""Check image and role before anything is made: SageMaker finds out minutes later, in words of its own."""

import json
import re
from typing import Any, Final

from service.aws.images import DOCKER_MANIFEST
from service.aws.refusals import unless_missing
from service.aws.session import Session
from service.errors import AwsError, ConfigurationError

_ECR: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[a-z0-9]+(?:[._/-][a-z0-9]+)*)(?::(?P<tag>[\w.-]{1,128}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_ROLE_NAME: Final = re.compile(r"[\w+=,.@-]{1,64}")
_PRINCIPAL: Final = "sagemaker.amazonaws.com"


def pinned_image(session: Session, image: str) -> str:
    """Return an image by its digest, which cannot be moved as a tag can.

    Raises:
        ConfigurationError: SageMaker does not take images from there.
        AwsError: It is not there, or in a form that SageMaker refuses.
    """
    match = _ECR.fullmatch(image)
    if not match:
        if session.is_local("sagemaker"):
            return image
        raise ConfigurationError(
            f"--image {image[:120]!r} is not in ECR, and SageMaker takes images from nowhere else: "
            "'segserve push IMAGE' puts one there and prints its URI"
        )
    if match["region"] != session.region:
        raise ConfigurationError(
            f"the image is in {match['region']}, and SageMaker in {session.region} takes only its own "
            "region's: "
            f"push it with --region {session.region}, or give --region {match['region']}"
        )
    if not session.has("ecr"):
        return image
    wanted = {"imageDigest": match["digest"]} if match["digest"] else {"imageTag": match["tag"] or "latest"}
    try:
        details = session.call(
            "ecr",
            "describe_images",
            registryId=match["account"],
            repositoryName=match["repository"],
            imageIds=[wanted],
        )["imageDetails"][0]
    except AwsError as exc:
        if exc.code in {"AccessDeniedException", "AccessDenied"}:
            return image  # the caller may deploy without being allowed to look
        if exc.is_missing:
            raise AwsError(
                f"{exc}: 'segserve push IMAGE' puts an image there and prints its URI",
                code=exc.code,
                is_missing=True,
            ) from None
        raise
    media_type = details.get("imageManifestMediaType", DOCKER_MANIFEST)
    if media_type != DOCKER_MANIFEST:
        raise AwsError(
            f"the image has a manifest of type {media_type}, which SageMaker refuses (C115): "
            "'segserve push' converts it; push it again under another tag"
        )
    host, _, _ = image.partition("/")
    return f"{host}/{match['repository']}@{details['imageDigest']}"


def role_arn(session: Session, role: str) -> str:
    """Return the ARN of the role that SageMaker takes on.

    Args:
        session: Whose.
        role: Its ARN or its name.

    Raises:
        ConfigurationError: It is not there, is neither, or does not let SageMaker take it on.
    """
    is_arn = bool(_ROLE.fullmatch(role))
    if not is_arn and not _ROLE_NAME.fullmatch(role):
        raise ConfigurationError(
            f"--role {role[:120]!r} is not one: it should be like arn:aws:iam::123456789012:role/NAME, or "
            "NAME"
        )
    if not session.has("iam"):
        if is_arn:
            return role
        raise ConfigurationError(
            f"--role {role!r} is a name, and there is no IAM here to look it up: give an ARN"
        )
    try:
        found = unless_missing(
            session.call, service="iam", operation="get_role", RoleName=role.rsplit("/", 1)[-1]
        )
    except AwsError:
        if is_arn:
            return role  # the caller may pass a role without being allowed to look at it
        raise
    if found is None:
        raise ConfigurationError(
            f"there is no role {role!r} in this account: make one that {_PRINCIPAL} may take on "
            "(cloudformation/segserve.yaml has one), or ask for its name"
        )
    if not _trusts_sagemaker(found["Role"].get("AssumeRolePolicyDocument", {})):
        raise ConfigurationError(
            f"the role {role!r} does not trust {_PRINCIPAL}: add it to the role's trust policy as a principal"
        )
    return str(found["Role"]["Arn"])


def _trusts_sagemaker(policy: Any) -> bool:
    document = json.loads(policy) if isinstance(policy, str) else policy
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else principal
        if statement.get("Effect") == "Allow" and (services == "*" or _PRINCIPAL in services):
            return True
    return False
