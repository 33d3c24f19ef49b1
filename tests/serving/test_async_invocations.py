"""Asynchronous invocations: inputs and outputs in folders and in S3, failures, limits, and a late end."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import botocore.session
import pytest

from tests.conftest import RunningServer, Starter, start_server, wait_until
from tests.serving.conftest import CSV, DEFAULT_BODY, JSON
from tests.serving.test_runtime_api import KEYS, runtime_client

BUCKET = "segments"
LARGE = b"[" + b",".join([b'{"Age": 25, "Spending_Power": 1250.0}'] * 30_000) + b"]"


def path_of(uri: str) -> Path:
    assert uri.startswith("file:///")
    return Path(unquote(urlsplit(uri).path))


def wait_for(uri: str) -> bytes:
    path = path_of(uri)
    wait_until(path.exists, what=uri)
    return path.read_bytes()


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("async folder")


@pytest.fixture(name="runtime", scope="module")
def _runtime(folder: Path, store_path: Path) -> Iterator[Any]:
    (folder / "in").mkdir()
    server = start_server(
        folder,
        *("--store", str(store_path)),
        SERVICE_ASYNC_OUTPUT=str(folder / "out"),
        SERVICE_ASYNC_INPUT=str(folder / "in"),
        SAGEMAKER_MAX_PAYLOAD_IN_MB="20",
    )
    yield runtime_client(server.url)
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def test_an_inline_payload_is_answered_into_a_file(runtime: Any, folder: Path) -> None:
    answer = runtime.invoke_endpoint_async(
        EndpointName="segments", Body=DEFAULT_BODY, ContentType=JSON, Accept=CSV, InferenceId="mine"
    )

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == "mine"
    assert path_of(answer["OutputLocation"]).is_relative_to(folder / "out")
    assert len(wait_for(answer["OutputLocation"]).splitlines()) == 2
    assert not path_of(answer["FailureLocation"]).exists()


def test_a_file_below_the_folder_of_inputs_is_read(runtime: Any, folder: Path) -> None:
    path = folder / "in" / "größe 1.csv"
    path.write_text("25,1250.0\n" * 1000)

    answer = runtime.invoke_endpoint_async(
        EndpointName="segments",
        InputLocation=path.as_uri(),
        ContentType=CSV,
        S3OutputPathExtension="/2026/november/",
        Filename="labels.csv",
    )

    assert path_of(answer["OutputLocation"]) == folder / "out" / "2026" / "november" / "labels.csv"
    assert len(json.loads(wait_for(answer["OutputLocation"]))) == 1000
    uuid.UUID(answer["InferenceId"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'[[25, "CANARY"]]', "Received client error (400) from primary"),
        (b"[[25, 1250.0]" + b" " * 21 * 2**20 + b"]", "Received client error (413) from primary"),
    ],
    ids=["bad", "large"],
)
def test_a_refusal_is_written_to_the_place_of_failures(
    runtime: Any, folder: Path, body: bytes, words: str
) -> None:
    path = folder / "in" / f"{uuid.uuid4()}.json"
    path.write_bytes(body)
    answer = runtime.invoke_endpoint_async(EndpointName="segments", InputLocation=path.as_uri())
    failure = wait_for(answer["FailureLocation"]).decode()

    assert failure.startswith(words)
    assert "CANARY" not in failure
    assert not path_of(answer["OutputLocation"]).exists()


def test_an_input_that_is_not_there_fails(runtime: Any, folder: Path) -> None:
    location = (folder / "in" / "absent").as_uri()
    answer = runtime.invoke_endpoint_async(EndpointName="segments", InputLocation=location)

    assert b"No such file" in wait_for(answer["FailureLocation"])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"Body": DEFAULT_BODY, "InputLocation": "s3://bucket/key"},
        {"Body": b"[" + b" " * 128_000},
        {"InputLocation": "file:///etc/passwd"},
        {"InputLocation": "file:///IN/../../outside"},
        {"InputLocation": "file:///IN/link"},
        {"InputLocation": "https://example.com/bucket/key"},
        {"Body": DEFAULT_BODY, "Filename": "../x"},
        {"Body": DEFAULT_BODY, "S3OutputPathExtension": "a/../../x"},
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_at_once(
    runtime: Any, folder: Path, arguments: dict[str, Any]
) -> None:
    link = folder / "in" / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("/etc/passwd")
    given = {
        name: value.replace("/IN", str(folder / "in")) if isinstance(value, str) else value
        for name, value in arguments.items()
    }
    with pytest.raises(runtime.exceptions.ValidationError):
        runtime.invoke_endpoint_async(EndpointName="segments", **given)


def test_without_a_folder_of_inputs_no_file_is_read(server: RunningServer, tmp_path: Path) -> None:
    runtime = runtime_client(server.url)
    (tmp_path / "in.json").write_bytes(DEFAULT_BODY)
    with pytest.raises(runtime.exceptions.ValidationError, match="SERVICE_ASYNC_INPUT"):
        runtime.invoke_endpoint_async(EndpointName="segments", InputLocation=(tmp_path / "in.json").as_uri())


def test_a_time_limit_of_the_caller_holds(runtime: Any, folder: Path) -> None:
    path = folder / "in" / "slow.json"
    path.write_bytes(b"[" + b",".join([b'{"Age": 25, "Spending_Power": 1250.0}'] * 500_000) + b"]")
    answer = runtime.invoke_endpoint_async(
        EndpointName="segments",
        InputLocation=path.as_uri(),
        Accept=f"{JSON}; detail=full",
        InvocationTimeoutSeconds=1,
    )

    assert b"server error (504)" in wait_for(answer["FailureLocation"])


def test_what_was_accepted_is_answered_before_the_server_ends(
    start: Starter, store_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.json").write_bytes(LARGE)
    server = start(
        *("--store", str(store_path)),
        SERVICE_ASYNC_OUTPUT=(tmp_path / "out").as_uri(),
        SERVICE_ASYNC_INPUT=str(tmp_path),
    )
    runtime = runtime_client(server.url)
    answers = [
        runtime.invoke_endpoint_async(EndpointName="segments", InputLocation=(tmp_path / "in.json").as_uri())
        for _ in range(6)
    ]
    exit_code = server.stop()

    assert exit_code == 0
    assert all(path_of(answer["OutputLocation"]).exists() for answer in answers)


@pytest.fixture(name="s3_url", scope="module")
def _s3_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture(name="s3", scope="module")
def _s3(s3_url: str) -> Iterator[Any]:
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=s3_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()


@pytest.fixture(name="s3_runtime", scope="module")
def _s3_runtime(tmp_path_factory: pytest.TempPathFactory, store_path: Path, s3_url: str) -> Iterator[Any]:
    server = start_server(
        tmp_path_factory.mktemp("s3"),
        *("--store", str(store_path)),
        SERVICE_ASYNC_OUTPUT=f"s3://{BUCKET}/out/",
        AWS_ENDPOINT_URL_S3=s3_url,
        **KEYS,
    )
    yield runtime_client(server.url)
    assert server.stop() == 0


def read_object(s3: Any, uri: str) -> tuple[bytes, str]:
    key = uri.removeprefix(f"s3://{BUCKET}/")
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        try:
            found.append(s3.get_object(Bucket=BUCKET, Key=key))
        except s3.exceptions.NoSuchKey:
            return False
        return True

    wait_until(is_there, what=uri)
    with found[0]["Body"] as stream:
        return stream.read(), found[0]["ContentType"]


@pytest.mark.parametrize("form", ["s3", "url"])
def test_inputs_and_outputs_may_be_objects(s3: Any, s3_url: str, s3_runtime: Any, form: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="in/größe 1.csv", Body=b"25,1250.0\n45,3000.5\n")
    location = {"s3": f"s3://{BUCKET}/in/größe 1.csv", "url": f"{s3_url}/{BUCKET}/in/gr%C3%B6%C3%9Fe%201.csv"}
    answer = s3_runtime.invoke_endpoint_async(
        EndpointName="segments", InputLocation=location[form], ContentType=CSV, Accept=CSV
    )

    assert answer["OutputLocation"].startswith(f"s3://{BUCKET}/out/")
    assert read_object(s3, answer["OutputLocation"]) == (b"2\n1\n", CSV)


def test_an_object_that_is_not_there_fails(s3: Any, s3_runtime: Any) -> None:
    answer = s3_runtime.invoke_endpoint_async(EndpointName="segments", InputLocation=f"s3://{BUCKET}/absent")
    failure, content_type = read_object(s3, answer["FailureLocation"])

    assert b"NoSuchKey" in failure
    assert content_type == "text/plain"


def test_a_server_that_has_used_s3_has_loaded_no_boto3() -> None:
    """Nor does one that has not used it load botocore: tests/test_imports.py."""
    from tests.test_imports import loaded_modules

    modules = loaded_modules(
        "import sys\n"
        "from service.serving.locations import S3\n"
        "import service.serving.runtime_api\n"
        "assert 'botocore' not in sys.modules\n"
        "S3('http://127.0.0.1:1')._client()\n"
        "print('\\n'.join({name.split('.')[0] for name in sys.modules}))"
    )

    assert "botocore" in modules
    assert not modules & {"boto3", "s3transfer", "pandas", "joblib"}
