"""C101 to C113: the AWS runtime API, called by botocore, and by hand where botocore hides something."""

import contextlib
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

from tests.conformance.targets import Launch, Server, Target, serve
from tests.conformance.trees import RECORDS
from tests.conformance.wire import CSV, JSON, ask, invoke, wait_until

STREAM = "/endpoints/segments/invocations-response-stream"


@pytest.fixture(name="runtime")
def _runtime(server: Server) -> Iterator[Any]:
    with contextlib.closing(client_of(server)) as client:
        yield client


def client_of(server: Server) -> Any:
    host, port = server.address
    return botocore.session.get_session().create_client(
        "sagemaker-runtime",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(read_timeout=70),
    )


def read(answer: dict[str, Any]) -> bytes:
    with answer["Body"] as stream:
        content: bytes = stream.read()
        return content


@pytest.mark.clause("C101", "C102", "C112")
def test_c101_a_call_with_every_parameter_is_answered(server: Server, runtime: Any) -> None:
    expected = invoke(server.address, RECORDS, JSON, CSV)
    answer = runtime.invoke_endpoint(
        EndpointName="segments",
        Body=RECORDS,
        ContentType=JSON,
        Accept=CSV,
        CustomAttributes="trace=1",
        TargetVariant="AllTraffic",
        TargetContainerHostname="algo-1",
        InferenceId="inference",
        EnableExplanations="`false`",
        InferenceComponentName="component",
        SessionId="session",
        PrefixAwareId="prefix",
    )

    assert read(answer) == expected.body
    assert answer["ContentType"] == CSV
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=1"
    assert answer["ResponseMetadata"]["RequestId"]


@pytest.mark.clause("C102")
def test_c102_headers_that_the_container_did_not_send_are_missing(runtime: Any) -> None:
    answer = runtime.invoke_endpoint(EndpointName="segments", Body=RECORDS)
    read(answer)

    assert set(answer) == {"ResponseMetadata", "ContentType", "InvokedProductionVariant", "Body"}


@pytest.mark.clause("C103")
@pytest.mark.parametrize("name", ["under_score", "-dash", "a" * 64])
def test_c103_a_bad_name_is_a_validation_error(runtime: Any, name: str) -> None:
    with pytest.raises(runtime.exceptions.ValidationError):
        runtime.invoke_endpoint(EndpointName=name, Body=RECORDS)


@pytest.mark.clause("C104", "C105")
@pytest.mark.parametrize(("body", "accept", "status"), [(b"[[1, ", JSON, 400), (RECORDS, "text/html", 406)])
def test_c104_an_error_of_the_container_is_a_model_error(
    server: Server, runtime: Any, body: bytes, accept: str, status: int
) -> None:
    original = invoke(server.address, body, JSON, accept).body.decode()
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName="segments", Body=body, ContentType=JSON, Accept=accept)
    answer = caught.value.response

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (answer["OriginalStatusCode"], answer["OriginalMessage"]) == (status, original)
    assert answer["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/segments")
    text = answer["Error"]["Message"]
    assert text.startswith(
        f'Received client error ({status}) from primary with message "{original}". See https'
    )
    assert text.endswith(" for more information.")


@pytest.mark.clause("C106")
def test_c106_a_client_s_mistake_is_not_tried_again(runtime: Any) -> None:
    attempts = []
    runtime.meta.events.register("before-send.sagemaker-runtime", lambda **_: attempts.append(1))
    with pytest.raises(runtime.exceptions.ModelError):
        runtime.invoke_endpoint(EndpointName="segments", Body=b"[")

    assert len(attempts) == 1


@pytest.mark.clause("C107")
def test_c107_a_call_without_any_header_is_answered(server: Server) -> None:
    answer = ask(server.address, "POST", "/endpoints/segments/invocations", RECORDS)

    assert answer.status == 200
    assert answer.body == invoke(server.address, RECORDS).body


@pytest.mark.clause("C108", "C109", "C112", "C113")
@pytest.mark.parametrize("times", [1, 50_000])
def test_c108_a_streamed_answer_has_the_same_bytes(server: Server, runtime: Any, times: int) -> None:
    body = json.dumps(json.loads(RECORDS) * times).encode()
    expected = invoke(server.address, body, JSON, CSV).body
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName="segments", Body=body, ContentType=JSON, Accept=CSV, CustomAttributes="a=b"
    )
    with contextlib.closing(answer["Body"]) as stream:
        parts = [event["PayloadPart"]["Bytes"] for event in stream]

    assert b"".join(parts) == expected
    assert (len(parts) > 1) == (times > 1)
    assert (answer["ContentType"], answer["CustomAttributes"]) == (CSV, "a=b")


@pytest.mark.clause("C109")
def test_c109_the_checksums_of_a_frame_are_right(server: Server) -> None:
    frame = ask(server.address, "POST", STREAM, RECORDS, {"Content-Type": JSON}).body
    length, header_length, prelude_crc = struct.unpack_from(">III", frame)

    assert length == len(frame)
    assert prelude_crc == zlib.crc32(frame[:8])
    assert struct.unpack(">I", frame[-4:])[0] == zlib.crc32(frame[:-4])
    assert frame[12 + header_length : -4] == invoke(server.address, RECORDS).body


@pytest.fixture(name="async_server")
def _async_server(target: Target, prefix_path: Path) -> Iterator[Server]:
    """Serve with a folder for outputs that the container may write to, and an input in it."""
    folder = prefix_path / "output"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "in.json").write_bytes(RECORDS)
    (folder / "bad.json").write_bytes(b"[[1, ")
    seen = seen_by(target, prefix_path)
    environment = {"SERVICE_ASYNC_OUTPUT": str(seen / "answers"), "SERVICE_ASYNC_INPUT": str(seen)}
    mounts = {"model": "ro", "output": "rw"}
    server = serve(target, Launch(prefix_path, mounts=mounts, environment=environment))
    yield server
    server.running.remove()


def seen_by(target: Target, prefix: Path) -> Path:
    return (Path("/opt/ml") if target.name == "container" else prefix) / "output"


def wait_for(uri: str, target: Target, prefix: Path) -> bytes:
    path = prefix / "output" / Path(uri.removeprefix("file://")).relative_to(seen_by(target, prefix))
    wait_until(path.exists, what=uri)
    return path.read_bytes()


@pytest.mark.clause("C110")
@pytest.mark.parametrize("source", ["inline", "file"])
def test_c110_an_asynchronous_call_is_answered_into_its_output(
    async_server: Server, target: Target, prefix_path: Path, source: str
) -> None:
    location = (seen_by(target, prefix_path) / "in.json").as_uri()
    given = {"Body": RECORDS} if source == "inline" else {"InputLocation": location}
    with contextlib.closing(client_of(async_server)) as runtime:
        answer = runtime.invoke_endpoint_async(
            EndpointName="segments", ContentType=JSON, Accept=CSV, InferenceId="mine", **given
        )
    output = wait_for(answer["OutputLocation"], target, prefix_path)

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == "mine"
    assert output == invoke(async_server.address, RECORDS, JSON, CSV).body


@pytest.mark.clause("C110")
def test_c110_an_asynchronous_failure_is_written_down(
    async_server: Server, target: Target, prefix_path: Path
) -> None:
    location = (seen_by(target, prefix_path) / "bad.json").as_uri()
    with contextlib.closing(client_of(async_server)) as runtime:
        answer = runtime.invoke_endpoint_async(EndpointName="segments", InputLocation=location)
    failure = wait_for(answer["FailureLocation"], target, prefix_path)

    assert failure.startswith(b"Received client error (400) from primary")
