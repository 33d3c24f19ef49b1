"""Invocations reach the container as on AWS, and its errors the caller."""

import ast
import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from service.local.faults import ApiError
from service.local.fleets import Variant
from service.local.invocations import MAX_BODY_BYTES, Answer, invoke, read_body
from tests.local.conftest import BODY, LocalSageMaker, create_endpoint, delete_endpoint, error_of


class Container(BaseHTTPRequestHandler):
    """Answer with what has come, or as the payload demands."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if body == b"slow":
            self.server.hold.wait(30)  # type: ignore[attr-defined]  # given below
        if body == b"die":
            self.close_connection = True
            return
        status = int(body) if body.isdigit() else 200
        content = b"x" * (MAX_BODY_BYTES + 1) if body == b"huge" else repr(dict(self.headers)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/csv")
        self.send_header("X-Secret", "1")
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "trace=2")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class FakeInstance:
    """Stand for a container that a test runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.in_flight = 0

    async def exit_code(self) -> int | None:
        return None

    async def stop(self, *, grace_s: float) -> int:
        raise AssertionError(grace_s)


class FakeRoute:
    """Lead to one instance."""

    def __init__(self, instance: FakeInstance, *, is_serverless: bool) -> None:
        self.instance = instance
        self._variant = Variant("A", 1.0, 1, {}, 60.0, is_serverless=is_serverless)

    @contextmanager
    def lease(self, _target: str | None) -> Iterator[tuple[Variant, FakeInstance]]:
        self.instance.in_flight += 1
        yield self._variant, self.instance
        self.instance.in_flight -= 1


@pytest.fixture(name="container_url", scope="module")
def _container_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Container)
    server.hold = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.hold.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def ask(
    url: str, body: bytes, *, headers: dict[str, str] | None = None, is_serverless: bool = False
) -> Answer:
    """Invoke a container, with a second of patience."""

    async def run() -> Answer:
        async with httpx.AsyncClient(trust_env=False) as client:
            for name in list(client.headers):
                del client.headers[name]
            route: Any = FakeRoute(FakeInstance(url), is_serverless=is_serverless)
            return await invoke(route, client, headers=httpx.Headers(headers or {}), body=body, timeout_s=1.0)

    return asyncio.run(run())


def refusal(url: str, body: bytes, **options: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        ask(url, body, **options)
    return caught.value


def test_only_what_sagemaker_forwards_reaches_the_container(container_url: str) -> None:
    sent = {
        "Content-Type": "text/csv",
        "Accept": "application/json",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
        "X-Amzn-SageMaker-Inference-Id": "7",
        "X-Amzn-SageMaker-Target-Variant": "A",
        "Authorization": "AWS4-HMAC-SHA256 Credential=secret",
        "Cookie": "a=b",
        "User-Agent": "Boto3",
    }

    answer = ask(container_url, b"x", headers=sent)

    arrived = {name.lower() for name in ast.literal_eval(answer.body.decode())}
    assert arrived == {
        "host",
        "content-length",
        "content-type",
        "accept",
        "x-amzn-sagemaker-custom-attributes",
        "x-amzn-sagemaker-inference-id",
    }
    assert answer.headers == {
        "Content-Type": "text/csv",
        "x-Amzn-Invoked-Production-Variant": "A",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=2",
    }


def test_no_content_type_arrives_when_none_was_sent(container_url: str) -> None:
    arrived = {name.lower() for name in ast.literal_eval(ask(container_url, b"x").body.decode())}

    assert arrived == {"host", "content-length"}


@pytest.mark.parametrize(
    ("status", "side"), [(400, "client"), (422, "client"), (500, "server"), (503, "server")]
)
def test_errors_of_the_container_are_model_errors(container_url: str, status: int, side: str) -> None:
    error = refusal(container_url, str(status).encode())

    assert (error.code, error.status) == ("ModelError", 424)
    assert str(error).startswith(f"Received {side} error ({status}) from primary with message ")
    assert error.members["OriginalStatusCode"] == status
    assert len(error.members["OriginalMessage"]) <= 2048
    assert error.members["ErrorCode"] == f"{side.upper()}_ERROR_FROM_MODEL"


def test_an_answer_that_takes_too_long_is_a_model_error(container_url: str) -> None:
    error = refusal(container_url, b"slow")

    assert (error.status, error.members["OriginalStatusCode"]) == (424, 0)
    assert "Your invocation timed out while waiting for a response from container primary" in str(error)


def test_a_container_that_hangs_up_or_is_away_is_a_model_error(container_url: str) -> None:
    for url, body in ((container_url, b"die"), ("http://127.0.0.1:9", b"x")):
        error = refusal(url, body)

        assert (error.code, error.members["OriginalStatusCode"]) == ("ModelError", 0)


def test_an_answer_of_more_than_6_mb_is_a_model_error(container_url: str) -> None:
    assert f"more than {MAX_BODY_BYTES} bytes" in str(refusal(container_url, b"huge"))


def test_a_serverless_endpoint_takes_4_mb(container_url: str) -> None:
    body = b"x" * (4 * 2**20)

    assert ask(container_url, body, is_serverless=True).body
    assert refusal(container_url, body + b"x", is_serverless=True).status == 413


def test_custom_attributes_are_at_most_1024_characters(container_url: str) -> None:
    header = "X-Amzn-SageMaker-Custom-Attributes"

    assert ask(container_url, b"x", headers={header: "x" * 1024}).body
    assert refusal(container_url, b"x", headers={header: "x" * 1025}).code == "ValidationError"


def test_a_body_that_is_too_large_is_read_to_its_end() -> None:
    left = [b"x" * 2**20] * 7

    async def chunks() -> Any:
        while left:
            yield left.pop()

    with pytest.raises(ApiError, match="7340032 bytes has exceeded the limit of 6291456 bytes"):
        asyncio.run(read_body(chunks()))
    assert left == []


def test_over_http_6_mb_go_through_and_a_byte_more_does_not(
    local: LocalSageMaker, sagemaker: Any, runtime: Any, name: str, model_url: str
) -> None:
    create_endpoint(sagemaker, name, model_url)
    largest = BODY + b" " * (MAX_BODY_BYTES - len(BODY))
    answer = runtime.invoke_endpoint(EndpointName=name, Body=largest, CustomAttributes="trace=1")
    error = error_of(lambda: runtime.invoke_endpoint(EndpointName=name, Body=largest + b" "), runtime)
    streamed = runtime.invoke_endpoint_with_response_stream(
        EndpointName=name, Body=b"[" + b",".join([b"[25, 1250.0]"] * 30000) + b"]", Accept="text/csv"
    )
    parts = [event["PayloadPart"]["Bytes"] for event in streamed["Body"]]
    delete_endpoint(sagemaker, name)

    assert local.url
    assert answer["Body"].read() == b"[2, 1]"
    assert answer["CustomAttributes"] == "trace=1"
    assert (error["Code"], error["Status"]) == ("ValidationError", 413)
    assert streamed["ContentType"] == "text/csv"
    assert b"".join(parts) == b"2\n" * 30000


def test_what_would_have_another_one_answer_is_refused_by_its_name(
    sagemaker: Any, runtime: Any, name: str, model_url: str
) -> None:
    create_endpoint(sagemaker, name, model_url)
    members = {
        "TargetModel": "a.tar.gz",
        "TargetContainerHostname": "first",
        "InferenceComponentName": "component",
        "EnableExplanations": "`true`",
    }
    streamed = {key: members[key] for key in ("TargetContainerHostname", "InferenceComponentName")}

    def refused(call: str, **member: str) -> Any:
        invocation = partial(getattr(runtime, call), EndpointName=name, Body=BODY, **member)
        return error_of(invocation, runtime)

    refusals = {
        (call, member): refused(call, **{member: value})
        for call, given in (("invoke_endpoint", members), ("invoke_endpoint_with_response_stream", streamed))
        for member, value in given.items()
    }
    chosen = runtime.invoke_endpoint(EndpointName=name, Body=BODY, TargetVariant="AllTraffic")
    delete_endpoint(sagemaker, name)

    assert chosen["Body"].read() == b"[2, 1]"
    for (_, member), error in refusals.items():
        assert (error["Code"], error["Status"]) == ("ValidationError", 400)
        assert error["Message"].startswith(f"{member} of InvokeEndpoint")
        assert "is not emulated by segserve local" in error["Message"]
