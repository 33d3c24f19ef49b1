"""What the runtime API takes and refuses is what botocore's model of it says."""

from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest

from service.serving.runtime_request import (
    _LIMITS,
    Operation,
    RuntimeCall,
    ValidationError,
    find_operation,
    read_call,
)

OPERATIONS = {
    "InvokeEndpoint": Operation.INVOKE,
    "InvokeEndpointWithResponseStream": Operation.STREAM,
    "InvokeEndpointAsync": Operation.ASYNC,
}


def service_model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker-runtime")


def modelled_headers() -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Return member name and limits of each header, by its name."""
    found = {}
    for name in OPERATIONS:
        for member, shape in service_model().operation_model(name).input_shape.members.items():
            if shape.serialization.get("location") == "header":
                found[shape.serialization["name"].lower()] = (member, shape.metadata)
    return found


def read(operation: Operation = Operation.INVOKE, /, **headers: str) -> RuntimeCall:
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return read_call("segments", operation, pairs)


def test_every_header_of_botocore_has_the_limits_that_it_says() -> None:
    headers = modelled_headers()

    assert set(headers) == set(_LIMITS)
    for name, (member, metadata) in headers.items():
        limit = _LIMITS[name]
        assert limit.most == metadata["max"], name
        assert limit.least == metadata.get("min", 0), name
        assert limit.member.lower() == member.lower(), name


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_the_path_that_botocore_calls(name: str) -> None:
    uri = service_model().operation_model(name).http["requestUri"]

    assert find_operation(uri.replace("{EndpointName}", "segments")) == ("segments", OPERATIONS[name])


@pytest.mark.parametrize(
    "path", ["/endpoints", "/endpoints/a", "/endpoints/a/b", "/endpoints/a/invocations/"]
)
def test_other_paths_are_of_no_operation(path: str) -> None:
    assert find_operation(path) is None


@pytest.mark.parametrize("name", ["a", "A-1", "a--b", "a" * 63])
def test_names_of_endpoints_are_taken(name: str) -> None:
    assert read_call(name, Operation.INVOKE, []).endpoint == name


def test_a_name_may_hold_what_parts_paths_and_is_refused_as_a_name() -> None:
    """An ARN is a usual mistake; botocore writes its / as %2F, which a server sees as /."""
    assert find_operation("/endpoints/arn:x:endpoint/a/invocations") == ("arn:x:endpoint/a", Operation.INVOKE)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "ä", "a/b", "a" * 64])
def test_names_that_aws_refuses_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="at 'endpointName' failed to satisfy constraint"):
        read_call(name, Operation.INVOKE, [])


@pytest.mark.parametrize(
    ("header", "value", "message"),
    [
        ("x_amzn_sagemaker_custom_attributes", "a" * 1025, "less than or equal to 1024"),
        ("x_amzn_sagemaker_custom_attributes", "ä", "regular expression"),
        ("x_amzn_sagemaker_inference_id", "", "greater than or equal to 1"),
        ("x_amzn_sagemaker_inference_id", "a" * 65, "less than or equal to 64"),
        ("x_amzn_sagemaker_target_variant", "a_b", "regular expression"),
        ("x_amzn_sagemaker_requestttlseconds", "59", "between 60 and 21600"),
        ("x_amzn_sagemaker_invocationtimeoutseconds", "3601", "between 1 and 3600"),
        ("x_amzn_sagemaker_invocationtimeoutseconds", "soon", "between 1 and 3600"),
        ("x_amzn_sagemaker_inputlocation", "ftp://a/b", "regular expression"),
        ("x_amzn_sagemaker_filename", "a/b", "regular expression"),
    ],
)
def test_a_header_outside_its_limits_is_refused_by_name(header: str, value: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        read(Operation.ASYNC, **{header: value})

    assert _LIMITS[header.replace("_", "-")].member in str(caught.value)
    assert len(str(caught.value)) < 500


def test_each_operation_has_its_own_headers_for_content_type_and_accept() -> None:
    given = {
        "content_type": "text/csv",
        "accept": "application/json",
        "x_amzn_sagemaker_content_type": "application/x-npy",
        "x_amzn_sagemaker_accept": "application/jsonlines",
    }

    seen = {operation: read(operation, **given).to_invocation()[:2] for operation in Operation}

    assert seen == {
        Operation.INVOKE: (b"text/csv", b"application/json"),
        Operation.STREAM: (b"text/csv", b"application/jsonlines"),
        Operation.ASYNC: (b"application/x-npy", b"application/jsonlines"),
    }


def test_the_region_is_the_one_that_the_caller_has_signed_for() -> None:
    signature = "AWS4-HMAC-SHA256 Credential=AKID/20261123/eu-west-1/sagemaker/aws4_request, Signature=0"

    assert read(authorization=signature).region == "eu-west-1"
    assert read().region == "us-east-1"
