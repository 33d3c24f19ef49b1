"""Read a call of the AWS runtime API: its path, and headers within the limits of its model (C101, C103).

Source: botocore, `sagemaker-runtime/2017-05-13/service-2.json`.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, NoReturn

import msgspec

from service import contract
from service.serving.headers import InvocationHeaders
from service.serving.invocation import Header


class Operation(StrEnum):
    """Name the operations by the last part of their path."""

    INVOKE = "invocations"
    STREAM = "invocations-response-stream"
    ASYNC = "async-invocations"


class ValidationError(Exception):
    """Raised when AWS would refuse a call before any container sees it; the message is for the caller."""


class _Limit(NamedTuple):
    """Hold what a header may be; lengths are in characters, and bounds of the value where it is a number."""

    member: str
    least: int = 0
    most: int = 1024
    pattern: str = r"[\x00-\x7f]*"
    is_number: bool = False


_NAME: Final = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
_PRINTABLE: Final = r"\S[\x20-\x7e]*"
_PREFIX: Final = "x-amzn-sagemaker-"
_LIMITS: Final[Mapping[str, _Limit]] = {
    "content-type": _Limit("contentType"),
    "accept": _Limit("accept"),
    f"{_PREFIX}content-type": _Limit("contentType"),
    f"{_PREFIX}accept": _Limit("accept"),
    f"{_PREFIX}custom-attributes": _Limit("customAttributes", most=contract.MAX_CUSTOM_ATTRIBUTES),
    f"{_PREFIX}target-model": _Limit("targetModel", least=1, pattern=_PRINTABLE),
    f"{_PREFIX}target-variant": _Limit("targetVariant", most=63, pattern=_NAME),
    f"{_PREFIX}target-container-hostname": _Limit("targetContainerHostname", most=63, pattern=_NAME),
    f"{_PREFIX}inference-id": _Limit("inferenceId", least=1, most=64, pattern=_PRINTABLE),
    f"{_PREFIX}enable-explanations": _Limit("enableExplanations", least=1, most=64, pattern=".*"),
    f"{_PREFIX}inference-component": _Limit("inferenceComponentName", most=63, pattern=_NAME),
    f"{_PREFIX}session-id": _Limit("sessionId", most=256, pattern=f"NEW_SESSION|{_NAME}"),
    f"{_PREFIX}prefix-aware-id": _Limit("prefixAwareId", least=1, most=64, pattern=_PRINTABLE),
    f"{_PREFIX}inputlocation": _Limit("inputLocation", least=1, pattern=r"(https?|s3|file)://[^/]*/?.*"),
    f"{_PREFIX}s3outputpathextension": _Limit(
        "s3OutputPathExtension", least=1, most=512, pattern=r"(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+"
    ),
    f"{_PREFIX}filename": _Limit(
        "filename", least=1, most=32, pattern=r"(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9\-_.]*"
    ),
    f"{_PREFIX}requestttlseconds": _Limit("requestTTLSeconds", 60, 21_600, is_number=True),
    f"{_PREFIX}invocationtimeoutseconds": _Limit("invocationTimeoutSeconds", 1, 3600, is_number=True),
}
_ENDPOINT: Final = _Limit("endpointName", least=1, most=63, pattern=_NAME)
_REGION: Final = re.compile(r"Credential=[^/,]+/\d{8}/([a-z0-9-]{1,32})/")
_DEFAULT_REGION: Final = "us-east-1"


_CONTENT_TYPE: Final = {Operation.ASYNC: f"{_PREFIX}content-type"}
_ACCEPT: Final = {Operation.INVOKE: "accept"}


class RuntimeCall(msgspec.Struct, frozen=True):
    """Hold one call."""

    endpoint: str
    operation: Operation
    region: str
    """That the caller has signed for."""
    fields: Mapping[str, str]
    """Headers of the API, by their names in lower case."""
    length: int
    """Of the payload, 0 where it comes in chunks."""
    encoding: str = ""
    """Content-Encoding, which no payload may have."""

    def get(self, name: str) -> str:
        """Return a header by what stands behind `X-Amzn-SageMaker-`, "" where the caller gave none."""
        return self.fields.get(f"{_PREFIX}{name}", "")

    @property
    def input_location(self) -> str:
        """Return where the payload lies, "" where it came along; clients write it as UTF-8."""
        return self._field(f"{_PREFIX}inputlocation").decode(errors="replace")

    def to_invocation(self) -> InvocationHeaders:
        """Return what the container gets to see of the headers."""
        return InvocationHeaders(
            content_type=self._field(_CONTENT_TYPE.get(self.operation, "content-type")),
            accept=self._field(_ACCEPT.get(self.operation, f"{_PREFIX}accept")),
            attributes=self._field(f"{_PREFIX}custom-attributes"),
            inference_id=self._field(f"{_PREFIX}inference-id"),
            length=self.length,
            encoding=self.encoding.encode("latin-1"),
        )

    def _field(self, name: str) -> bytes:
        return self.fields.get(name, "").encode("latin-1")


def find_operation(path: str) -> tuple[str, Operation] | None:
    """Return the endpoint's name and the operation of a path, None where it is of no operation."""
    endpoint, _, last = path.removeprefix(f"{contract.ENDPOINTS_PATH}/").rpartition("/")
    return (endpoint, Operation(last)) if last in set(Operation) else None


def read_call(endpoint: str, operation: Operation, headers: Sequence[Header]) -> RuntimeCall:
    """Read a call; raise ValidationError where AWS would refuse it."""
    _check(_ENDPOINT, endpoint)
    fields = {}
    region, length, encoding = _DEFAULT_REGION, 0, ""
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in _LIMITS:
            _check(_LIMITS[name], value)
            fields[name] = value
        elif name == "content-length":
            length = int(value)
        elif name == "content-encoding" and value.lower() != "identity":
            encoding = value
        elif name == "authorization" and (match := _REGION.search(value)):
            region = match[1]
    return RuntimeCall(endpoint, operation, region, fields, length, encoding)


def _check(limit: _Limit, value: str) -> None:
    """Refuse a value in AWS's words; it is a header, so that it is shown cut and as ASCII."""
    if limit.is_number:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not limit.least <= int(value) <= limit.most:
            _fail(limit, value, f"have a value between {limit.least} and {limit.most}")
    elif len(value) < limit.least:
        _fail(limit, value, f"have length greater than or equal to {limit.least}")
    elif len(value) > limit.most:
        _fail(limit, value, f"have length less than or equal to {limit.most}")
    elif not re.fullmatch(limit.pattern, value):
        _fail(limit, value, f"satisfy regular expression pattern: {limit.pattern}")


def _fail(limit: _Limit, value: str, demand: str) -> NoReturn:
    raise ValidationError(
        f"1 validation error detected: Value {value[:80]!a} at '{limit.member}' failed to satisfy "
        f"constraint: Member must {demand}"
    )
