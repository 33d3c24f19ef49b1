"""C68 and C69: many models in one container."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.targets import Launch, Server, Target, serve
from tests.conformance.trees import GROUPS, RECORDS
from tests.conformance.wire import JSON, Address, Answer, ask, invoke

MOUNTS: Final = {"models": "ro"}
MULTI: Final = {"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_MODEL_SERVER_WORKERS": "2"}
BAD: Final = "bad"


@pytest.fixture(name="multi_prefix", scope="session")
def _multi_prefix(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Path:
    """Return a tree with a model as SageMaker unpacks it, and one that is damaged."""
    prefix = tmp_path_factory.mktemp("many") / "ml"
    for name in ("good", BAD):
        folder = prefix / "models" / name / "model"
        folder.mkdir(parents=True)
        for path in model_path.iterdir():
            (folder / path.name).write_bytes(path.read_bytes() + (b" " if name == BAD else b""))
    return prefix


@pytest.fixture(name="multi_server", scope="session")
def _multi_server(target: Target, multi_prefix: Path) -> Iterator[Server]:
    server = serve(target, Launch(multi_prefix, mounts=MOUNTS, environment=MULTI))
    yield server
    server.running.remove()


def load(address: Address, name: str, url: str) -> Answer:
    body = json.dumps({"model_name": name, "url": url}).encode()
    return ask(address, "POST", "/models", body, {"Content-Type": JSON})


def url_of(target: Target, prefix: Path, name: str = "good") -> str:
    """Return where the server sees a model."""
    root = Path("/opt/ml") if target.name == "container" else prefix
    return str(root / "models" / name / "model")


@pytest.mark.clause("C68")
def test_c68_the_variable_makes_a_multi_model_server(multi_server: Server) -> None:
    assert ask(multi_server.address, "GET", "/ping").status == 200
    assert ask(multi_server.address, "GET", "/models").status == 200
    assert invoke(multi_server.address, RECORDS).status in {404, 503}


@pytest.mark.clause("C69")
def test_c69_a_model_is_loaded_listed_invoked_and_unloaded(
    target: Target, multi_server: Server, multi_prefix: Path
) -> None:
    """Each request is on a connection of its own, so that any worker may get it."""
    address, url = multi_server.address, url_of(target, multi_prefix)
    facts = {"modelName": "one", "modelUrl": url}
    headers = {"Content-Type": JSON, "X-Amzn-SageMaker-Target-Model": "one.tar.gz"}
    for _ in range(2):
        before = [
            ask(address, *request).status for request in (("GET", "/models/one"), ("DELETE", "/models/one"))
        ]
        loaded, again = load(address, "one", url), load(address, "one", url)
        described = [ask(address, "GET", "/models/one").json() for _ in range(5)]
        listed = ask(address, "GET", "/models").json()
        answers = [ask(address, "POST", "/models/one/invoke", RECORDS, headers) for _ in range(9)]
        unloaded = ask(address, "DELETE", "/models/one")
        after = [ask(address, "POST", "/models/one/invoke", RECORDS, headers).status for _ in range(9)]

        assert before == [404, 404]
        assert (loaded.status, again.status, unloaded.status) == (200, 409, 200)
        assert described == [facts] * 5
        assert facts in listed["models"]
        assert {answer.status for answer in answers} == {200}
        assert {len(set(answer.json())) for answer in answers} == {len(GROUPS)}
        assert len({answer.body for answer in answers}) == 1
        assert after == [404] * 9


@pytest.mark.clause("C69")
def test_c69_the_list_comes_in_pages(target: Target, multi_server: Server, multi_prefix: Path) -> None:
    address, url = multi_server.address, url_of(target, multi_prefix)
    names = [f"page-{number}" for number in range(150)]
    assert {load(address, name, url).status for name in names} == {200}
    first = ask(address, "GET", "/models").json()
    second = ask(address, "GET", f"/models?next_page_token={first['nextPageToken']}").json()
    statuses = {ask(address, "DELETE", f"/models/{name}").status for name in names}

    assert statuses == {200}
    assert "nextPageToken" not in second
    assert {model["modelName"] for page in (first, second) for model in page["models"]} >= set(names)


@pytest.mark.clause("C69")
def test_c69_a_model_without_room_gets_507(target: Target, multi_prefix: Path) -> None:
    environment = {**MULTI, "SERVICE_MAX_MODELS": "1"}
    server = serve(target, Launch(multi_prefix, mounts=MOUNTS, environment=environment))
    try:
        url = url_of(target, multi_prefix)
        statuses = [load(server.address, name, url).status for name in ("a", "b")]
        ask(server.address, "DELETE", "/models/a")
        statuses.append(load(server.address, "b", url).status)
    finally:
        server.running.remove()

    assert statuses == [200, 507, 200]


@pytest.mark.clause("C69")
def test_c69_a_corrupt_model_harms_no_other(target: Target, multi_server: Server, multi_prefix: Path) -> None:
    address = multi_server.address
    load(address, "sound", url_of(target, multi_prefix))
    refused = load(address, BAD, url_of(target, multi_prefix, BAD))
    answer = ask(address, "POST", "/models/sound/invoke", RECORDS, {"Content-Type": JSON})
    ask(address, "DELETE", "/models/sound")

    assert 400 <= refused.status < 500
    assert refused.status != 409
    assert refused.json()["error"]["message"]
    assert answer.status == 200
    assert ask(address, "GET", f"/models/{BAD}").status == 404
