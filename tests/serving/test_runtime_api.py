"""AWS's own clients work against this server as against SageMaker's endpoint."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from service.serving.event_stream import MAX_PART_BYTES
from tests.conftest import RunningServer, Starter, clean_environment
from tests.serving.conftest import (
    CSV,
    DEFAULT_BODY,
    JSON,
    NPY,
    RECORDS,
    check_refusal,
    payloads,
    post,
)

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1"}
LARGE = b"[" + b",".join([b"[25, 1250.0]"] * 100_000) + b"]"


def runtime_client(url: str) -> Any:
    return botocore.session.get_session().create_client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(read_timeout=70),
    )


@pytest.fixture(name="runtime", scope="module")
def _runtime(server: RunningServer) -> Iterator[Any]:
    client = runtime_client(server.url)
    yield client
    client.close()


def read(answer: dict[str, Any]) -> bytes:
    with answer["Body"] as stream:
        content: bytes = stream.read()
        return content


def streamed(answer: dict[str, Any]) -> list[bytes]:
    with contextlib.closing(answer["Body"]) as stream:
        return [event["PayloadPart"]["Bytes"] for event in stream]


@pytest.mark.parametrize("accept", [None, JSON, CSV, NPY])
@pytest.mark.parametrize("form", payloads(RECORDS))
def test_invoke_endpoint_gives_the_bytes_of_invocations(
    client: httpx.Client, runtime: Any, form: str, accept: str | None
) -> None:
    content_type, body = payloads(RECORDS)[form]
    given = {"ContentType": content_type, "Accept": accept}
    expected = post(client, body, content_type=content_type, accept=accept)

    answer = runtime.invoke_endpoint(
        EndpointName="segments", Body=body, **{key: value for key, value in given.items() if value}
    )

    assert read(answer) == expected.content
    assert answer["ContentType"] == expected.headers["content-type"]


def test_invoke_endpoint_takes_every_parameter_and_returns_what_aws_returns(runtime: Any) -> None:
    answer = runtime.invoke_endpoint(
        EndpointName="segments",
        Body=DEFAULT_BODY,
        ContentType=JSON,
        Accept=JSON,
        CustomAttributes="trace=7",
        TargetVariant="blue",
        TargetContainerHostname="algo-1",
        InferenceId="inference-1",
        EnableExplanations="`false`",
        InferenceComponentName="component",
        SessionId="NEW_SESSION",
        PrefixAwareId="prefix",
    )
    metadata = answer.pop("ResponseMetadata")
    read({"Body": answer.pop("Body")})

    assert answer == {
        "ContentType": JSON,
        "InvokedProductionVariant": "blue",
        "CustomAttributes": "trace=7",
    }
    assert len(metadata["RequestId"]) == 36
    assert metadata["HTTPStatusCode"] == 200


def test_without_a_wish_the_variant_is_that_of_the_sdk(runtime: Any) -> None:
    answer = runtime.invoke_endpoint(EndpointName="segments", Body=DEFAULT_BODY)
    read(answer)

    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert "CustomAttributes" not in answer


def test_a_refusal_is_a_model_error_with_the_containers_answer_in_it(
    client: httpx.Client, runtime: Any
) -> None:
    body = b'[[25, "CANARY"]]'
    refusal = post(client, body)
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName="segments", Body=body)
    answer = caught.value.response

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0
    assert answer["OriginalStatusCode"] == 400
    assert answer["OriginalMessage"] == refusal.text
    assert answer["LogStreamArn"].startswith("arn:aws:logs:eu-west-1:")
    assert answer["Error"]["Message"].startswith(
        f'Received client error (400) from primary with message "{refusal.text}". See https://eu-west-1.console'
    )


@pytest.mark.parametrize(
    ("arguments", "status"),
    [({"ContentType": "image/png"}, 415), ({"Accept": "text/html"}, 406), ({"Body": b"["}, 400)],
)
def test_each_refusal_keeps_its_status(runtime: Any, arguments: dict[str, Any], status: int) -> None:
    for call in (runtime.invoke_endpoint, runtime.invoke_endpoint_with_response_stream):
        with pytest.raises(runtime.exceptions.ModelError) as caught:
            call(**{"EndpointName": "segments", "Body": DEFAULT_BODY, **arguments})

        assert caught.value.response["OriginalStatusCode"] == status


def test_an_error_of_the_container_itself_is_a_server_error(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SAGEMAKER_MODEL_SERVER_TIMEOUT="1")
    runtime = runtime_client(server.url)
    slow = b"[" + b",".join([b'{"Age": 25, "Spending_Power": 1250.0}'] * 600_000) + b"]"
    with pytest.raises(runtime.exceptions.ModelError, match=r"Received server error \(504\)") as caught:
        runtime.invoke_endpoint(EndpointName="segments", Body=slow, Accept=f"{JSON}; detail=full")

    assert caught.value.response["OriginalStatusCode"] == 504


@pytest.mark.parametrize(
    "arguments",
    [{"EndpointName": "not_a_name"}, {"CustomAttributes": "a" * 1025}, {"TargetModel": "de.tar.gz"}],
)
def test_what_aws_would_not_pass_on_is_a_validation_error(runtime: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(runtime.exceptions.ValidationError) as caught:
        runtime.invoke_endpoint(**{"EndpointName": "segments", "Body": DEFAULT_BODY, **arguments})

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_too_large_a_payload_is_a_model_error_too(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    runtime = runtime_client(server.url)
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName="segments", Body=LARGE)

    assert caught.value.response["OriginalStatusCode"] == 413


@pytest.mark.parametrize("body", [DEFAULT_BODY, LARGE, b"[]"], ids=["few", "many", "none"])
@pytest.mark.parametrize("accept", [JSON, CSV])
def test_a_streamed_answer_has_the_same_bytes(
    client: httpx.Client, runtime: Any, body: bytes, accept: str
) -> None:
    expected = post(client, body, accept=accept)
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName="segments", Body=body, ContentType=JSON, Accept=accept, CustomAttributes="a=b"
    )
    parts = streamed(answer)

    assert b"".join(parts) == expected.content
    assert max(map(len, parts)) <= MAX_PART_BYTES
    assert answer["ContentType"] == accept
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "a=b"


def test_other_paths_and_methods_are_refused_as_everywhere(client: httpx.Client) -> None:
    check_refusal(client.get("/endpoints/a/invocations"), status=405, code="MethodNotAllowed")
    check_refusal(client.post("/endpoints/a/other"), status=404, code="NotFound")
    check_refusal(client.post("/endpoints"), status=404, code="NotFound")
    check_refusal(client.post("/models"), status=404, code="NotFound")


def test_the_runtime_api_can_be_turned_off(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SERVICE_RUNTIME_API="off")

    with httpx.Client(base_url=server.url) as client:
        check_refusal(
            client.post("/endpoints/a/invocations", content=DEFAULT_BODY), status=404, code="NotFound"
        )
        assert post(client, DEFAULT_BODY).status_code == 200


def test_a_client_that_retries_gets_the_same_error_once(runtime: Any) -> None:
    """A 500 or 503 would be tried three times."""
    attempts: list[int] = []
    runtime.meta.events.register("before-send.sagemaker-runtime", lambda **_: attempts.append(1))
    with pytest.raises(ClientError):
        runtime.invoke_endpoint(EndpointName="segments", Body=b"[")

    assert attempts == [1]


@pytest.mark.parametrize("target", ["de.tar.gz", "nested/fr.tar.gz", "unpacked", "loaded"])
def test_a_target_is_a_loaded_model_or_one_in_the_folder_of_models(
    multi: tuple[RunningServer, Path], target: str
) -> None:
    server, archive = multi
    runtime = runtime_client(server.url)
    if target == "loaded":
        httpx.post(f"{server.url}/models", json={"model_name": "loaded", "url": str(archive)}, timeout=60)

    answers = [
        read(runtime.invoke_endpoint(EndpointName="many", Body=DEFAULT_BODY, TargetModel=target))
        for _ in range(3)
    ]

    assert len(set(answers)) == 1
    assert len(json.loads(answers[0])) == 2


@pytest.mark.parametrize("target", ["absent.tar.gz", "../outside.tar.gz", "/etc/passwd", None])
def test_a_target_that_is_not_there_is_a_validation_error(
    multi: tuple[RunningServer, Path], target: str | None
) -> None:
    runtime = runtime_client(multi[0].url)
    given = {"TargetModel": target} if target else {}
    with pytest.raises(runtime.exceptions.ValidationError):
        runtime.invoke_endpoint(EndpointName="many", Body=DEFAULT_BODY, **given)


def test_a_target_that_is_no_model_is_a_model_error(multi: tuple[RunningServer, Path]) -> None:
    runtime = runtime_client(multi[0].url)
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName="many", Body=DEFAULT_BODY, TargetModel="broken.tar.gz")

    assert json.loads(caught.value.response["OriginalMessage"])["error"]["code"] == "InvalidModel"


@pytest.fixture(name="multi", scope="module")
def _multi(
    tmp_path_factory: pytest.TempPathFactory, store_path: Path
) -> Iterator[tuple[RunningServer, Path]]:
    """Run a multi-model server with some models in its folder; return it and the archive of one."""
    import shutil

    from service.store import Store
    from tests.conftest import start_server

    prefix = tmp_path_factory.mktemp("targets") / "ml"
    archive = Store(store_path).resolve()
    models = prefix / "models"
    (models / "nested").mkdir(parents=True)
    for path in (models / "de.tar.gz", models / "nested" / "fr.tar.gz", prefix / "outside.tar.gz"):
        shutil.copy(archive, path)
    shutil.unpack_archive(archive, models / "unpacked" / "model", filter="data")
    (models / "broken.tar.gz").write_bytes(b"no archive")
    server = start_server(prefix, SERVICE_PREFIX=str(prefix), SAGEMAKER_MULTI_MODEL="true")
    yield server, archive
    assert server.stop() == 0


def test_the_aws_command_line_works_unchanged(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(DEFAULT_BODY)
    result = subprocess.run(
        [
            *(Path(sys.executable).with_name("aws"), "sagemaker-runtime", "invoke-endpoint"),
            *("--endpoint-url", server.url, "--endpoint-name", "segments", "--content-type", JSON),
            *("--body", f"fileb://{tmp_path}/body.json", str(tmp_path / "out.json")),
        ],
        env=clean_environment(**KEYS, AWS_CONFIG_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["InvokedProductionVariant"] == "AllTraffic"
    assert len(json.loads((tmp_path / "out.json").read_bytes())) == 2
