"""Check requests and answers against botocore's own model of the service."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from botocore.model import OperationModel, ServiceModel, Shape
from botocore.session import Session
from botocore.validate import ParamValidator

from service.local.faults import ApiError, not_emulated
from service.local.operations import BY_NAME, Operation

FILE_SCHEME: Final = "file://"
"""A folder or a file of this machine stands in for S3 wherever S3 does."""

_URL_PATTERN: Final = "(https|s3)://"
_SHOWN: Final = 120

_NOT_YET: Final[Mapping[str, dict[str, Any]]] = {
    "DescribeTrainingJob": {"ModelArtifacts": {"S3ModelArtifacts": ""}}
}
"""Members that the model requires of an answer, but that AWS leaves out until the job has ended."""


@cache
def service_model() -> ServiceModel:
    """Return the model of the control plane; reading it takes a third of a second."""
    return Session().get_service_model("sagemaker")


def find_operation(name: str) -> Operation:
    """Return an operation that is emulated.

    Raises:
        ApiError: It is none of the service, or none that is emulated.
    """
    if operation := BY_NAME.get(name):
        return operation
    if name in service_model().operation_names:
        message = (
            f"{name} is an operation of Amazon SageMaker that segserve local does not emulate; "
            f"it does: {', '.join(sorted(BY_NAME))}"
        )
    else:
        message = f"SageMaker has no operation {name[:_SHOWN]!r}"
    raise ApiError(message, code="UnknownOperationException")


def check_request(operation: Operation, document: Any) -> None:
    """Refuse what AWS would refuse, and what this service would silently leave undone.

    Raises:
        ApiError: Names the member, its value and the constraint.
    """
    shape = _model(operation).input_shape
    if not isinstance(document, dict):
        raise ApiError("the request is not a JSON object", code="SerializationException")
    report = ParamValidator().validate(document, shape)
    if report.has_errors():
        raise ApiError(report.generate_report())
    problems = list(_violations(document, shape, ""))
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise ApiError(f"{count}: {'; '.join(problems)}")
    accepted = {*operation.honoured, *operation.recorded}
    for member, value in document.items():
        if member not in accepted and value not in (None, {}, [], False):
            raise not_emulated(member, operation.name)


def refused_headers(operation: Operation) -> dict[str, str]:
    """Return the headers by which a runtime request asks for what is not emulated, with their members."""
    shape = Session().get_service_model("sagemaker-runtime").operation_model(operation.name).input_shape
    return {
        member.serialization["name"]: name
        for name, member in shape.members.items()
        if member.serialization.get("location") == "header" and name not in operation.honoured
    }


def shape_answer(operation: Operation, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an answer that the operation's output has.

    Raises:
        ValueError: The answer lacks a member, or has one of another type: a mistake of ours.
    """
    shape = _model(operation).output_shape
    if shape is None:
        return {}
    answer: dict[str, Any] = _project(document, shape)
    report = ParamValidator().validate(_NOT_YET.get(operation.name, {}) | answer, shape)
    if report.has_errors():
        raise ValueError(f"{operation.name}: {report.generate_report()}")
    return answer


def _model(operation: Operation) -> OperationModel:
    return service_model().operation_model(operation.name)


def _project(value: Any, shape: Shape) -> Any:
    """Leave out what the shape does not have, at any depth."""
    match shape.type_name:
        case "structure":
            return {
                name: _project(value[name], member)
                for name, member in shape.members.items()
                if value.get(name) is not None
            }
        case "list":
            return [_project(item, shape.member) for item in value]
        case _:
            return value


def _violations(  # noqa: C901  # one case for each type
    value: Any, shape: Shape, path: str
) -> Iterator[str]:
    """Yield what botocore leaves to the service: patterns, closed choices and upper bounds."""
    match shape.type_name:
        case "structure":
            for name, member in shape.members.items():
                if value.get(name) is not None:
                    yield from _violations(value[name], member, f"{path}.{name}" if path else name)
        case "list":
            yield from _too_many(len(value), shape, path)
            for position, item in enumerate(value, start=1):
                yield from _violations(item, shape.member, f"{path}.{position}.member")
        case "map":
            yield from _too_many(len(value), shape, path)
            for key, item in value.items():
                yield from _violations(key, shape.key, path)
                yield from _violations(item, shape.value, f"{path}.{key}")
        case "string":
            yield from _wrong_string(value, shape, path)
        case "integer" | "long" | "float" | "double":
            if (highest := shape.metadata.get("max")) is not None and value > highest:
                yield _violation(value, path, f"have value less than or equal to {highest}")
        case _:
            return


def _wrong_string(value: str, shape: Shape, path: str) -> Iterator[str]:
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        yield _violation(value, path, f"satisfy enum value set: [{', '.join(choices)}]")
    highest = shape.metadata.get("max")
    if highest is not None and len(value) > highest:
        yield _violation(value, path, f"have length less than or equal to {highest}")
    pattern = shape.metadata.get("pattern")
    if pattern is None or (
        value.startswith(FILE_SCHEME) and pattern.removeprefix("^").startswith(_URL_PATTERN)
    ):
        return
    compiled = _compile(pattern)
    if compiled is not None and not compiled.fullmatch(value):
        yield _violation(value, path, f"satisfy regular expression pattern: {pattern}")


@cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    """Compile a pattern; None for one that only Java can read, or that is a known slip of AWS's."""
    if pattern == "(https|s3)://([^/])/?(.*)":  # DestinationS3Uri: admits one letter, taken as a whole
        return None
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _too_many(count: int, shape: Shape, path: str) -> Iterator[str]:
    highest = shape.metadata.get("max")
    if highest is not None and count > highest:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have at most {highest} entries"


def _violation(value: object, path: str, constraint: str) -> str:
    shown = str(value)[:_SHOWN]
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must {constraint}"
