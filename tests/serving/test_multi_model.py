"""Many models in one server: the state machine, its limits, and workers that agree."""

import asyncio
import gc
import json
import shutil
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from service.artifact import MANIFEST, Artifact
from service.serving.app import SegmentationApp, create_app
from service.serving.multi_model import _FREEZE_EVERY, PAGE_SIZE
from service.settings import read_settings
from service.store import Store
from tests.conftest import DEADLINE_S, RunningServer, Starter, start_server, wait_until
from tests.serving.conftest import DEFAULT_BODY, check_refusal, upside_down

ON = {"SAGEMAKER_MULTI_MODEL": "true"}
NAMES = (f"model-{number}" for number in count())


def client_of(server: RunningServer, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=DEADLINE_S, **options)


@pytest.fixture(name="prefix", scope="module")
def _prefix(tmp_path_factory: pytest.TempPathFactory, store_path: Path, artifact: Artifact) -> Path:
    """Return a tree with models as SageMaker unpacks them, and as an archive."""
    prefix = tmp_path_factory.mktemp("multi") / "ml"
    archive = Store(store_path).resolve()
    for name in ("de", "fr"):
        folder = prefix / "models" / name / "model"
        folder.mkdir(parents=True)
        shutil.unpack_archive(archive, folder, filter="data")
    shutil.copy(archive, prefix / "models" / "it.tar.gz")
    (prefix / "models" / "broken" / "model").mkdir(parents=True)
    (prefix / "models" / "broken" / "model" / MANIFEST).write_text("{")
    (prefix / "models" / "upside-down.tar.gz").write_bytes(upside_down(artifact))
    return prefix


@pytest.fixture(name="labels", scope="module")
def _labels(artifact: Artifact) -> list[int]:
    """Return what the model answers to DEFAULT_BODY."""
    labels = [artifact.model.partition.assign_one(*record) for record in json.loads(DEFAULT_BODY)]
    assert labels != turned(labels)
    return labels


def turned(labels: list[int]) -> list[int]:
    """Return what the model that is upside down answers instead."""
    return [3 - label for label in labels]


@pytest.fixture(name="server", scope="module", params=[1, 3], ids=["1 worker", "3 workers"])
def _server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, prefix: Path
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    server = start_server(folder, "--workers", str(request.param), SERVICE_PREFIX=str(prefix), **ON)
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(name="client", scope="module")
def _client(server: RunningServer) -> Iterator[httpx.Client]:
    """Open a connection for each request, so that any worker may answer it."""
    with client_of(server, headers={"Connection": "close"}) as client:
        yield client


def load(client: httpx.Client, name: str, path: Path) -> httpx.Response:
    return client.post("/models", json={"model_name": name, "url": str(path)})


def invoke(client: httpx.Client, name: str, body: bytes = DEFAULT_BODY, **headers: str) -> httpx.Response:
    return client.post(
        f"/models/{quote(name, safe='')}/invoke",
        content=body,
        headers={key.replace("_", "-"): value for key, value in headers.items()},
    )


def listed(client: httpx.Client) -> dict[str, str]:
    """Return every loaded model's place by its name, reading all pages."""
    found: dict[str, str] = {}
    query: Mapping[str, str] = {}
    while True:
        document = client.get("/models", params=query).json()
        assert len(document["models"]) <= PAGE_SIZE
        for model in document["models"]:
            assert model["modelName"] not in found
            found[model["modelName"]] = model["modelUrl"]
        if "nextPageToken" not in document:
            return found
        query = {"next_page_token": document["nextPageToken"]}


@pytest.fixture(name="name")
def _name(client: httpx.Client) -> Iterator[str]:
    """Return a name that is free again after the test."""
    name = next(NAMES)
    yield name
    client.delete(f"/models/{name}")


@pytest.fixture(name="de")
def _de(prefix: Path) -> Path:
    return prefix / "models" / "de" / "model"


def test_a_model_goes_through_all_of_its_states(
    labels: list[int], client: httpx.Client, name: str, de: Path
) -> None:
    url = {"modelName": name, "modelUrl": str(de)}
    for _ in range(2):
        check_refusal(client.get(f"/models/{name}"), status=404, code="ModelNotLoaded")
        check_refusal(invoke(client, name), status=404, code="ModelNotLoaded")
        check_refusal(client.delete(f"/models/{name}"), status=404, code="ModelNotLoaded")
        loaded = load(client, name, de)
        again = load(client, name, de)

        assert loaded.status_code == 200
        check_refusal(again, status=409, code="ModelAlreadyLoaded")
        assert [client.get(f"/models/{name}").json() for _ in range(9)] == [url] * 9
        assert listed(client)[name] == str(de)
        assert [invoke(client, name).json() for _ in range(9)] == [labels] * 9
        assert client.delete(f"/models/{name}").status_code == 200
        assert name not in listed(client)


def test_a_model_answers_as_it_does_alone(
    labels: list[int], client: httpx.Client, name: str, de: Path, artifact: Artifact
) -> None:
    load(client, name, de)
    large = b"[" + b",".join([b"[25, 1250.0]"] * 20_000) + b"]"
    detailed = invoke(client, name, Accept="text/csv; detail=full", X_Amzn_SageMaker_Target_Model=name)

    assert invoke(client, name, large).json() == [labels[0]] * 20_000
    assert detailed.headers["content-type"] == "text/csv"
    assert detailed.headers["x-segserve-model-version"] == artifact.manifest.model_version
    assert len(detailed.text.splitlines()) == 2
    check_refusal(
        invoke(client, name, b"[[1, true]]"),
        status=400,
        code="InvalidRecord",
        record=0,
        field="Spending_Power",
    )


def test_each_name_has_its_own_model(labels: list[int], client: httpx.Client, prefix: Path) -> None:
    load(client, "plain", prefix / "models" / "it.tar.gz")
    load(client, "turned", prefix / "models" / "upside-down.tar.gz")
    answers = [(invoke(client, "plain").json(), invoke(client, "turned").json()) for _ in range(9)]
    for name in ("plain", "turned"):
        client.delete(f"/models/{name}")

    assert answers == [(labels, turned(labels))] * 9


def test_a_name_that_is_loaded_anew_has_its_new_model_everywhere(
    labels: list[int], client: httpx.Client, prefix: Path, name: str
) -> None:
    for archive, expected in [("it.tar.gz", labels), ("upside-down.tar.gz", turned(labels))] * 3:
        assert load(client, name, prefix / "models" / archive).status_code == 200
        assert [invoke(client, name).json() for _ in range(9)] == [expected] * 9
        assert client.delete(f"/models/{name}").status_code == 200


@pytest.mark.parametrize("name", ["a/b", "ü b%2F", "x/invoke", "?q#f", "a" * 1024])
def test_names_are_opaque(labels: list[int], client: httpx.Client, name: str, de: Path) -> None:
    assert load(client, name, de).status_code == 200
    path = f"/models/{quote(name, safe='')}"

    assert [invoke(client, name).json() for _ in range(6)] == [labels] * 6
    assert client.get(path).json()["modelName"] == name
    assert client.delete(path).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"model_name": "a"}',
        b'{"model_name": 1, "url": "/x"}',
        b'{"model_name": "", "url": "/x"}',
        b'{"model_name": "a\\u0000", "url": "/x"}',
        b'{"model_name": "%b", "url": "/x"}' % (b"a" * 1025),
        b'{"model_name": "a", "url": "s3://bucket/x"}',
        b'{"model_name": "a", "url": "relative/x"}',
    ],
)
def test_a_request_that_makes_no_sense_is_refused(client: httpx.Client, body: bytes) -> None:
    check_refusal(client.post("/models", content=body), status=400, code="InvalidPayload")


def test_a_model_that_cannot_be_used_harms_no_other(
    labels: list[int], client: httpx.Client, prefix: Path, name: str
) -> None:
    load(client, name, prefix / "models" / "de" / "model")
    before = listed(client)
    for path, status, code in [
        (prefix / "models" / "broken" / "model", 400, "InvalidModel"),
        (prefix, 400, "InvalidModel"),
        (prefix / "models" / "absent", 404, "ModelNotLoaded"),
    ]:
        check_refusal(load(client, "bad", path), status=status, code=code)
        check_refusal(invoke(client, "bad"), status=404, code="ModelNotLoaded")

    assert listed(client) == before
    assert invoke(client, name).json() == labels
    assert client.get("/ping").status_code == 200


def test_a_list_of_many_comes_in_pages(client: httpx.Client, de: Path) -> None:
    names = [f"many-{number}" for number in range(2 * PAGE_SIZE + 1)]
    for name in names:
        assert load(client, name, de).status_code == 200
    found = [name for name in listed(client) if name.startswith("many-")]
    for name in names:
        client.delete(f"/models/{name}")

    assert found == names
    assert not [name for name in listed(client) if name.startswith("many-")]


@pytest.mark.parametrize("token", ["x", "-1", "1.5", "9" * 30, "٣"])
def test_a_token_that_no_page_came_with_is_refused(client: httpx.Client, token: str) -> None:
    answer = client.get("/models", params={"next_page_token": token})

    check_refusal(answer, status=400, code="InvalidPayload")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/models", "GET, POST"), ("POST", "/models/a", "GET, DELETE, or POST with /invoke")],
)
def test_other_methods_are_405(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)

    check_refusal(answer, status=405, code="MethodNotAllowed")
    assert answer.headers["allow"] == allowed


def test_a_server_without_models_is_healthy_and_has_no_invocations_of_its_own(client: httpx.Client) -> None:
    assert client.get("/ping").status_code == 200
    assert client.get("/execution-parameters").status_code == 200
    check_refusal(client.post("/invocations", content=b"[]"), status=503, code="ModelNotReady")


def test_of_many_that_load_the_same_name_at_once_one_wins(server: RunningServer, name: str, de: Path) -> None:
    with client_of(server, headers={"Connection": "close"}) as client, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: load(client, name, de).status_code, range(24)))

    assert sorted(answers) == [200] + [409] * 23


def test_models_come_and_go_while_others_are_invoked(
    labels: list[int], server: RunningServer, client: httpx.Client, prefix: Path, name: str, de: Path
) -> None:
    """Nobody may see an error, or another model's answer, but 404 for a model that comes and goes."""
    load(client, name, de)
    archives = {"come": "upside-down.tar.gz", "go": "it.tar.gz"}
    expected = {"come": turned(labels), "go": labels}
    is_over = threading.Event()

    def churn(own: str) -> int:
        with client_of(server, headers={"Connection": "close"}) as one:
            for _ in range(20):
                assert load(one, own, prefix / "models" / archives[own]).status_code == 200
                assert invoke(one, own).json() == expected[own]
                assert one.delete(f"/models/{own}").status_code == 200
                assert invoke(one, own).status_code == 404
        return 1

    def ask() -> int:
        answered = 0
        with client_of(server, headers={"Connection": "close"}) as one:
            while not is_over.is_set():
                assert invoke(one, name).json() == labels
                other = invoke(one, "come")
                assert other.status_code == 404 or other.json() == turned(labels)
                answered += 1
        return answered

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        churning = [pool.submit(churn, own) for own in archives]
        try:
            done = [future.result(DEADLINE_S) for future in churning]
        finally:
            is_over.set()
        answered = [future.result(DEADLINE_S) for future in asking]

    assert done == [1, 1]
    assert min(answered) > 0


def test_a_worker_that_dies_takes_no_model_with_it(
    labels: list[int], start: Starter, prefix: Path, de: Path
) -> None:
    import os
    import signal

    server = start("--workers", "2", SERVICE_PREFIX=str(prefix), **ON)
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    with client_of(server, headers={"Connection": "close"}) as client:
        load(client, "a", de)
        for _ in range(20):
            invoke(client, "a")
        killed = workers_of(children)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

        def is_back() -> bool:
            try:
                return client.get("/ping").status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(lambda: not workers_of(children) & killed and is_back(), what="new workers")
        answers = [invoke(client, "a").json() for _ in range(20)]
        gone = client.delete("/models/a").status_code

        assert answers == [labels] * 20
        assert gone == 200
        check_refusal(invoke(client, "a"), status=404, code="ModelNotLoaded")


def workers_of(children: Path) -> set[int]:
    pids = {int(pid) for pid in children.read_text().split()}
    return {pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def test_no_more_models_are_loaded_than_the_setting_allows(start: Starter, prefix: Path, de: Path) -> None:
    server = start(SERVICE_PREFIX=str(prefix), SERVICE_MAX_MODELS="2", **ON)
    with client_of(server) as client:
        assert [load(client, name, de).status_code for name in "ab"] == [200, 200]
        message = check_refusal(load(client, "c", de), status=507, code="InsufficientMemory")
        client.delete("/models/a")

        assert "SERVICE_MAX_MODELS" in message
        assert load(client, "c", de).status_code == 200


def test_no_model_is_loaded_into_memory_that_is_to_stay_free(start: Starter, prefix: Path, de: Path) -> None:
    server = start(SERVICE_PREFIX=str(prefix), SERVICE_MEMORY_RESERVE_MB=str(2**30), **ON)
    with client_of(server) as client:
        message = check_refusal(load(client, "a", de), status=507, code="InsufficientMemory")

        assert "SERVICE_MEMORY_RESERVE_MB" in message
        assert client.get("/ping").status_code == 200


def test_a_model_whose_files_have_changed_is_not_served_under_its_name(
    labels: list[int], start: Starter, tmp_path: Path, prefix: Path
) -> None:
    """A worker that reads a model later than another must not read another one."""
    path = tmp_path / "model.tar.gz"
    shutil.copy(prefix / "models" / "it.tar.gz", path)
    server = start("--workers", "3", SERVICE_PREFIX=str(prefix), **ON)
    with client_of(server, headers={"Connection": "close"}) as client:
        load(client, "a", path)
        shutil.copy(prefix / "models" / "upside-down.tar.gz", path)
        answers = [invoke(client, "a") for _ in range(40)]

    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(answer.json() == labels for answer in answers if answer.status_code == 200)


OTHER_WORKER = """
import asyncio, sys
from pathlib import Path
from service.serving.peers import Peers
from service.serving.registry import SharedRegistry

registry = SharedRegistry(Path(sys.argv[1]) / "journal", on_removed=lambda name: None)
with registry.changing():
    registry.remove("a")

async def run():
    await Peers(Path(sys.argv[1]), on_told=lambda: None).tell()

asyncio.run(run())
"""


async def ask(app: SegmentationApp, method: str, path: str, body: bytes = b"") -> int:
    """Ask without a server; return the status."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(
        {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}, receive, send
    )
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize("who", ["this worker", "another worker"])
def test_what_is_unloaded_is_not_held(store_path: Path, tmp_path: Path, who: str) -> None:
    """Ask for the objects rather than for the system's figures: it keeps pages for later."""
    is_shared = who == "another worker"
    app = create_app(None, read_settings(multi_model=True, registry=tmp_path if is_shared else None))
    document = json.dumps({"model_name": "a", "url": str(Store(store_path).resolve())}).encode()

    async def run() -> Any:
        statuses = [
            await ask(app, "POST", "/models", document),
            await ask(app, "POST", "/models/a/invoke", b"[[1, 2]]"),
        ]
        assert statuses == [200, 200]
        model = weakref.ref(app.lane.short_cuts[b"/models/a/invoke"].model)
        if not is_shared:
            assert await ask(app, "DELETE", "/models/a") == 200
            return model
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER_WORKER, str(tmp_path))
        assert await other.wait() == 0
        peers = app._models._peers if app._models else None
        assert peers
        asyncio.get_running_loop().remove_reader(peers._socket)
        peers._socket.close()
        return model

    gc.disable()
    try:
        model = asyncio.run(run())
        assert model() is None
    finally:
        gc.enable()


def test_a_collection_does_not_look_at_models_that_are_held(store_path: Path) -> None:
    """Ten thousand of them would hold up all requests for half a second."""
    app = create_app(None, read_settings(multi_model=True))
    url = str(Store(store_path).resolve())

    async def run() -> None:
        for number in range(_FREEZE_EVERY):
            document = json.dumps({"model_name": f"m{number}", "url": url}).encode()
            assert await ask(app, "POST", "/models", document) == 200

    try:
        asyncio.run(run())
        watched = {id(one) for one in gc.get_objects()}
        held = [served.model for served in app.lane.short_cuts.values()]
        assert len(held) == _FREEZE_EVERY
        assert not [model for model in held if id(model) in watched]
    finally:
        gc.unfreeze()
