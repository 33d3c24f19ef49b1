"""Invoke an endpoint, at once or through S3 when it is asynchronous, and say what its container says."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from service.aws.artifacts import Location
from service.aws.refusals import code_of, explained
from service.aws.session import Session
from service.contract import MAX_CUSTOM_ATTRIBUTES
from service.errors import AwsError, ConfigurationError

MAX_BODY_BYTES: Final = 6 * 2**20
"""Source: API_runtime_InvokeEndpoint, the length of Body."""

_ASYNC_TIMEOUT_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Request:
    """Hold one invocation."""

    body: bytes
    content_type: str
    accept: str
    attributes: str | None = None
    target_model: str | None = None
    """Which model of a multi-model endpoint."""

    def parameters(self) -> dict[str, str]:
        """Return InvokeEndpoint's parameters but the endpoint and the body."""
        optional = {"CustomAttributes": self.attributes, "TargetModel": self.target_model}
        return {
            "ContentType": self.content_type,
            "Accept": self.accept,
            **{k: v for k, v in optional.items() if v},
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what an endpoint answered."""

    body: bytes
    content_type: str
    variant: str | None
    attributes: str | None


def invoke(session: Session, endpoint: str, request: Request) -> Answer:
    """Invoke an endpoint.

    Raises:
        AwsError: The container refused the payload, or the endpoint cannot be invoked; says what it said.
        ConfigurationError: The payload or the attributes are longer than SageMaker takes.
    """
    if len(request.body) > MAX_BODY_BYTES:
        raise ConfigurationError(
            f"the payload has {len(request.body):,} bytes, and SageMaker takes {MAX_BODY_BYTES:,}: send it "
            "in parts, "
            "or use an asynchronous endpoint or a batch transform job"
        )
    if request.attributes and len(request.attributes) > MAX_CUSTOM_ATTRIBUTES:
        raise ConfigurationError(f"custom attributes have at most {MAX_CUSTOM_ATTRIBUTES} characters")
    with explained("sagemaker-runtime", "invoke_endpoint", region=session.region):
        try:
            answer = session.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=endpoint, Body=request.body, **request.parameters()
            )
            body = answer["Body"].read()
        except ClientError as exc:
            raise _told(exc, endpoint) from None
    return Answer(
        body,
        answer.get("ContentType", ""),
        answer.get("InvokedProductionVariant"),
        answer.get("CustomAttributes"),
    )


def invoke_async(session: Session, endpoint: str, request: Request, *, config: Mapping[str, Any]) -> Answer:
    """Put the payload into S3, have it answered there, and wait for the answer.

    Args:
        session: Whose.
        endpoint: An asynchronous one.
        request: What to ask.
        config: Its AsyncInferenceConfig.

    Raises:
        AwsError: The container refused the payload, or did not answer in time.
    """
    output = Location.parse(config["OutputConfig"]["S3OutputPath"])
    key = "/".join(
        (
            output.prefix.removesuffix("/output").removesuffix("output") or "segserve",
            "input",
            str(uuid.uuid4()),
        )
    )
    session.call(
        "s3", "put_object", Bucket=output.bucket, Key=key, Body=request.body, ContentType=request.content_type
    )
    optional = {"CustomAttributes": request.attributes} if request.attributes else {}
    accepted = session.call(
        "sagemaker-runtime",
        "invoke_endpoint_async",
        EndpointName=endpoint,
        InputLocation=f"s3://{output.bucket}/{key}",
        ContentType=request.content_type,
        Accept=request.accept,
        **optional,
    )
    started = time.monotonic()
    while time.monotonic() - started < _ASYNC_TIMEOUT_S:
        if (body := _object(session, accepted["OutputLocation"])) is not None:
            return Answer(body, request.accept, None, None)
        failure = accepted.get("FailureLocation")
        if failure and (body := _object(session, failure)) is not None:
            raise AwsError(
                f"the container of {endpoint} refused the payload: "
                f"{body[:500].decode(errors='replace').strip()}"
            )
        time.sleep(session.poll_s)
    raise AwsError(
        f"{endpoint} has not answered within {_ASYNC_TIMEOUT_S:.0f} s; the answer will be "
        f"{accepted['OutputLocation']}"
    )


def _object(session: Session, url: str) -> bytes | None:
    location = Location.parse(url)
    try:
        answer = session.call("s3", "get_object", Bucket=location.bucket, Key=location.prefix)
    except AwsError as exc:
        if exc.is_missing:
            return None
        raise
    content: bytes = answer["Body"].read()
    return content


def _told(exc: ClientError, endpoint: str) -> AwsError | ClientError:
    """Return what the container said for itself, and AWS's refusals as they are."""
    if code_of(exc) != "ModelError":
        return exc
    status = exc.response.get("OriginalStatusCode", "no")
    said = " ".join(
        str(exc.response.get("OriginalMessage") or exc.response["Error"].get("Message", "")).split()
    )
    return AwsError(f"the container of {endpoint} answered {status}: {said[:600]}", code="ModelError")
