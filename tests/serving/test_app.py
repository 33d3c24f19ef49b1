"""The routes for people: docs without a network, the model card, and one form for every error."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from service.artifact import Artifact
from service.serving.app import create_app
from service.serving.card import model_card
from service.settings import read_settings
from tests.conftest import DEADLINE_S, start_server
from tests.serving.conftest import DEFAULT_BODY, check_refusal, post

CONSOLE = (
    *("/model", "/docs", "/docs/static/swagger-ui-bundle.js", "/openapi.json"),
    *("/", "/console/model", "/console/versions", "/console/static/main.js"),
)


@pytest.fixture(name="bare", scope="module")
def _bare(tmp_path_factory: pytest.TempPathFactory, store_path: Path) -> Iterator[httpx.Client]:
    """Ask a server without the console, whose defaults are lenient and CSV."""
    server = start_server(
        tmp_path_factory.mktemp("bare"),
        "--store",
        str(store_path),
        SERVICE_CONSOLE="off",
        SERVICE_ON_ERROR="Placeholder",
        SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv",
    )
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        yield client
    assert server.stop() == 0


@pytest.fixture(name="empty", scope="module")
def _empty() -> Iterator[httpx.Client]:
    """Ask an application that has no model."""
    app = create_app(None, read_settings())
    with httpx.Client(base_url="http://testserver", transport=_Direct(app)) as client:
        yield client


class _Direct(httpx.BaseTransport):
    """Call an ASGI application without a server."""

    def __init__(self, app: object) -> None:
        self._transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # an application by shape

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def answer() -> httpx.Response:
            response = await self._transport.handle_async_request(request)
            content = await response.aread()
            return httpx.Response(response.status_code, headers=response.headers, content=content)

        return asyncio.run(answer())


def test_docs_ask_nothing_of_third_parties(client: httpx.Client) -> None:
    page = client.get("/docs")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert not re.findall(r"""(?:https?:)?//[\w.-]+\.\w+""", page.text)


def test_all_that_the_docs_page_loads_is_there(client: httpx.Client) -> None:
    page = client.get("/docs").text
    links = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)["']|url\s*:\s*["']([^"']+)["']""", page)
    paths = [first or second for first, second in links]
    loaded = [path for path in paths if not path.startswith("data:")]

    assert len(loaded) >= 3
    for path in loaded:
        response = client.get(f"/{path.removeprefix('/')}")
        assert response.status_code == 200, path
        assert response.content


@pytest.mark.parametrize(
    "path", ["/docs/static/../app.py", "/docs/static/%2e%2e/__init__.py", "/docs/static//etc/passwd"]
)
def test_static_files_stay_in_their_folder(client: httpx.Client, path: str) -> None:
    request = client.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())

    check_refusal(client.send(request), status=404, code="NotFound")


def test_openapi_describes_the_contract_routes(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()

    assert document["openapi"].startswith("3.")
    own = {"/ping", "/invocations", "/execution-parameters", "/metrics", "/live", "/model"}
    assert set(document["paths"]) == {*own, "/endpoints/{name}/invocations"}
    assert set(document["paths"]["/ping"]) == {"get", "post"}
    responses = document["paths"]["/invocations"]["post"]["responses"]
    assert {"200", "400", "406", "413", "415", "503", "504"} <= set(responses)


def test_the_examples_in_openapi_work(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]

    tried = 0
    for content_type, media in content.items():
        if "example" in media:
            example = media["example"]
            body = example if isinstance(example, str) else json.dumps(example)
            assert post(client, body.encode(), content_type=content_type).status_code == 200
            tried += 1
    assert tried == 3


def test_the_model_card_says_what_is_served(client: httpx.Client, artifact: Artifact) -> None:
    response = client.get("/model")
    card = response.json()

    assert response.headers["content-type"] == "application/json"
    assert card["model_version"] == artifact.manifest.model_version
    assert card["model_digest"] == artifact.model.digest
    assert card["features"] == ["Age", "Spending_Power"]
    assert [segment["id"] for segment in card["segments"]] == [0, 1, 2, 3]
    assert sum(segment["share"] for segment in card["segments"]) == pytest.approx(1)
    assert [tuple(segment["centroid_scaled"]) for segment in card["segments"]] == list(
        artifact.model.centroids
    )


def test_the_model_card_does_without_a_training_file(artifact: Artifact) -> None:
    from dataclasses import replace

    bare = replace(artifact, files={})

    assert model_card(bare)["training"] == {}


@pytest.mark.parametrize(
    "path",
    [
        *("/ping/", "/invocations/", "/Ping", "//ping", "/v1/chat/completions", "/model/", "/CANARY7781"),
        *(
            "/execution-parameters/",
            "/redoc",
            "/docs/",
            "/docs/oauth2-redirect",
            "/models",
            "/%00",
            "/favicon.ico",
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_a_clean_404(client: httpx.Client, method: str, path: str) -> None:
    request = client.build_request(method, "/", content=b"{}")
    request.url = request.url.copy_with(raw_path=path.encode())

    response = client.send(request)

    message = check_refusal(response, status=404, code="NotFound")
    assert "/invocations" in message
    assert "CANARY" not in message


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/model", "/docs", "/openapi.json", "/console/model"])
def test_people_s_routes_refuse_other_verbs(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path)

    check_refusal(response, status=405, code="MethodNotAllowed")
    assert "GET" in response.headers["allow"]


@pytest.mark.parametrize("path", CONSOLE)
def test_the_console_can_be_turned_off(client: httpx.Client, bare: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200
    check_refusal(bare.get(path), status=404, code="NotFound")


def test_the_contract_s_routes_stay_without_the_console(bare: httpx.Client) -> None:
    assert bare.get("/ping").status_code == 200
    assert bare.get("/execution-parameters").status_code == 200


def test_the_server_s_defaults_can_be_set(bare: httpx.Client) -> None:
    response = post(bare, b'[[25, 1250.0], ["x", 1]]')

    assert response.headers["content-type"] == "text/csv"
    assert response.text.splitlines()[1:] == ["ERROR"]
    strict = post(bare, b'[["x", 1]]', accept="application/json;on_error=reject")
    check_refusal(strict, status=400, code="InvalidRecord", record=0, field="Age")


def test_without_a_model_nothing_is_healthy(empty: httpx.Client) -> None:
    assert empty.get("/ping").status_code == 503
    check_refusal(empty.post("/invocations", content=DEFAULT_BODY), status=503, code="ModelNotReady")
    check_refusal(empty.get("/model"), status=503, code="Error")
    check_refusal(empty.get("/console/model"), status=503, code="Error")
    assert empty.get("/execution-parameters").status_code == 200


def test_a_model_that_fails_its_self_test_is_not_healthy(artifact: Artifact) -> None:
    from dataclasses import replace

    golden = artifact.model.golden
    clusters = (*golden.clusters[:-1], (golden.clusters[-1] + 1) % 4)
    model = replace(artifact.model, golden=replace(golden, clusters=clusters))
    app = create_app(replace(artifact, model=model), read_settings())
    with httpx.Client(base_url="http://testserver", transport=_Direct(app)) as client:
        assert client.get("/ping").status_code == 503


def test_no_answer_names_the_server_software(client: httpx.Client) -> None:
    for path in ("/ping", "/docs", "/nowhere"):
        assert "server" not in client.get(path).headers


@pytest.fixture(name="turn_s")
def _turn_s() -> Iterator[float]:
    """Return how long a thread keeps the interpreter's lock from others, and leave it so."""
    turn_s = sys.getswitchinterval()
    yield turn_s
    sys.setswitchinterval(turn_s)


def test_threads_of_a_process_that_serves_hand_the_interpreters_lock_over_soon(turn_s: float) -> None:
    """`make soak ARGS='--only overload'` shows what comes of it, and fails where refusals come late."""
    events = iter(["lifespan.startup", "lifespan.shutdown"])
    told = []

    async def receive() -> dict[str, str]:
        return {"type": next(events)}

    async def send(message: Mapping[str, object]) -> None:
        told.append(message["type"])

    asyncio.run(create_app(None, read_settings())({"type": "lifespan"}, receive, send))

    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert sys.getswitchinterval() < turn_s / 10
