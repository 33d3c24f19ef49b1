"""Say in one sentence why AWS refused a call, and what to do next; never botocore's own trace."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    TokenRetrievalError,
)

from service.errors import AwsError, ConfigurationError

_BAD_CREDENTIALS: Final = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "AuthFailure",
        "InvalidSignatureException",
    }
)
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_QUOTA: Final = frozenset(
    {"ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"}
)
_BUSY: Final = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
)
_MISSING: Final = frozenset(
    {
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ObjectNotFoundException",
        "NoSuchBucket",
        "NoSuchKey",
        "NoSuchEntity",
        "RepositoryNotFoundException",
        "ImageNotFoundException",
        "404",
    }
)
_LOGIN: Final = "run 'aws configure' or 'aws sso login', or set AWS_PROFILE"
_LIMIT: Final = re.compile(
    r"limit '(?P<name>[^']+)' is (?P<limit>\d+).*?utilization of (?P<used>\d+)", re.IGNORECASE | re.DOTALL
)
_MAX_MESSAGE: Final = 400
_HERE: Final = "segserve local"
"""Names itself in its refusals; it has no account whose quota could be raised."""


def code_of(exc: ClientError) -> str:
    """Return AWS's own name of the refusal."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def message_of(exc: ClientError) -> str:
    """Return AWS's sentence, on one line, without the identifiers that lengthen it."""
    text = " ".join(str(exc.response.get("Error", {}).get("Message", "")).split())
    return text[:_MAX_MESSAGE].rstrip(". ")


def is_missing(exc: ClientError) -> bool:
    """Tell whether AWS says that a thing is not there; SageMaker has no name for it but a sentence."""
    said = message_of(exc).lower()
    return code_of(exc) in _MISSING or (
        code_of(exc) in {"ValidationException", "ValidationError"}
        and any(words in said for words in ("could not find", "does not exist", "not found", "no scalable"))
    )


def is_taken(exc: ClientError) -> bool:
    """Tell whether AWS says that a name is in use."""
    return "already exist" in message_of(exc).lower() or code_of(exc) in {
        "ResourceInUse",
        "ConflictException",
    }


def unless_missing(call: Callable[..., dict[str, Any]], **parameters: Any) -> dict[str, Any] | None:
    """Return what a call answers, None where it concerns something that is not there."""
    try:
        return call(**parameters)
    except AwsError as exc:
        if exc.is_missing:
            return None
        raise


@contextmanager
def explained(service: str, operation: str, *, region: str) -> Iterator[None]:
    """Turn whatever AWS or the way to it throws into one sentence.

    Raises:
        AwsError: AWS refused, or could not be reached.
        ConfigurationError: There are no credentials, or none that AWS takes.
    """
    action = f"{service}:{_camel(operation)}"
    try:
        yield
    except ClientError as exc:
        raise _explain(exc, action=action, region=region) from None
    except (NoCredentialsError, PartialCredentialsError):
        raise ConfigurationError(f"there are no AWS credentials: {_LOGIN}") from None
    except TokenRetrievalError:
        raise ConfigurationError(f"the AWS sign-on has expired: {_LOGIN}") from None
    except (EndpointConnectionError, ConnectTimeoutError) as exc:
        raise AwsError(
            f"{action} cannot be reached at {exc.kwargs.get('endpoint_url', 'its address')}: "
            f"check the network, AWS_ENDPOINT_URL and the region ({region})"
        ) from None
    except ReadTimeoutError:
        raise AwsError(f"{action} did not answer in time; try again") from None
    except ParamValidationError as exc:
        raise ConfigurationError(
            f"{action} does not take this: {' '.join(str(exc).split())[:_MAX_MESSAGE]}"
        ) from None
    except BotoCoreError as exc:
        raise AwsError(f"{action} failed: {' '.join(str(exc).split())[:_MAX_MESSAGE]}") from None


def _explain(exc: ClientError, *, action: str, region: str) -> AwsError | ConfigurationError:
    code, said = code_of(exc), message_of(exc)
    if reason := _of_credentials(code, said, region=region):
        return ConfigurationError(reason)
    is_there, is_free = not is_missing(exc), not is_taken(exc)
    if code in _DENIED:
        message = (
            f"these credentials may not call {action} ({said}): "
            "ask for that permission; docs/ship.md has a policy with all of them"
        )
    elif code in _QUOTA and _HERE in said:
        message = f"{action}: {said}"
    elif code in _QUOTA:
        message = _quota(said, region=region)
    elif code in _BUSY:
        message = f"AWS answers {action} too slowly ({code}): wait a minute and try again"
    elif not is_there:
        message = f"{action}: {said} (looked in {region})"
    elif not is_free:
        message = f"{action}: {said}; choose another name, or delete that first"
    else:
        message = f"{action} was refused ({code}): {said}"
    return AwsError(message, code=code, is_missing=not is_there, is_taken=not is_free)


def _of_credentials(code: str, said: str, *, region: str) -> str | None:
    """Return what is wrong with who asks and where; None where nothing is."""
    if code in _BAD_CREDENTIALS:
        return f"AWS does not know these credentials ({code}): {_LOGIN}"
    if code in _EXPIRED:
        return f"the AWS credentials have expired: {_LOGIN}"
    if code == "OptInRequired" or "region is disabled" in said.lower():
        return f"the region {region} is not enabled for this account: give another --region"
    return None


def _quota(said: str, *, region: str) -> str:
    found = _LIMIT.search(said)
    what = (
        f"'{found['name']}' is {found['limit']}, and {found['used']} are used"
        if found
        else f"is reached: {said}"
    )
    return (
        f"the account's quota {what}, in {region}: ask for more at "
        f"https://{region}.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas, "
        "or take another --instance-type"
    )


def _camel(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))
