"""Who may ask what: the token, the limit, other sites, and the address that is listened on."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.errors import ConfigurationError
from service.serving.access import BURST_S, MAX_CLIENTS, Access, RateLimit, _client
from service.settings import ALL_INTERFACES, LOOPBACK, is_contained, read_settings
from tests.conftest import DEADLINE_S, RunningServer, Starter, start_server, wait_until
from tests.serving.conftest import DEFAULT_BODY, check_refusal, run_serve

TOKEN = "not-a-secret-0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

GUARDED = (
    "/model",
    "/live",
    "/docs",
    "/docs/static/swagger-ui.css",
    "/openapi.json",
    "/console/model",
    "/console/versions",
    "/console/versions/20261123T120000Z-00000000",
    "/nothing",
    "//model",
    "/model/",
    "/%6dodel",
    "/console/static",
    "/console/staticx",
    "/console/static/../model",
    "/ping/../model",
)
OPEN = ("/ping", "/execution-parameters", "/metrics", "/", "/console/static/main.js")


@pytest.fixture(name="guarded", scope="module")
def _guarded(tmp_path_factory: pytest.TempPathFactory, store_path: Path) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("guarded")
    server = start_server(folder, "--store", str(store_path), SERVICE_TOKEN=TOKEN)
    yield server
    assert server.stop() == 0


def raw_get(url: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """GET exactly this path, which httpx would tidy."""
    with httpx.Client(timeout=DEADLINE_S) as client:
        target = httpx.URL(url).copy_with(raw_path=path.encode())
        return client.send(client.build_request("GET", target, headers=headers))


@pytest.mark.parametrize("path", GUARDED)
def test_what_is_for_people_needs_the_token(guarded: RunningServer, path: str) -> None:
    refused = raw_get(guarded.url, path)

    message = check_refusal(refused, status=401, code="Unauthorized")
    assert refused.headers["www-authenticate"] == 'Bearer realm="segserve"'
    assert "SERVICE_TOKEN" in message
    assert TOKEN not in refused.text
    assert raw_get(guarded.url, path, BEARER).status_code in {200, 404, 410}


@pytest.mark.parametrize("path", OPEN)
def test_what_sagemaker_asks_and_the_page_itself_do_not(guarded: RunningServer, path: str) -> None:
    assert raw_get(guarded.url, path).status_code == 200


def test_invocations_need_no_token(guarded: RunningServer) -> None:
    for path in ("/invocations", "/endpoints/any/invocations"):
        assert httpx.post(f"{guarded.url}{path}", content=DEFAULT_BODY).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode(),
        "Bearer " + "x" * 10_000,
        "Bearer \xff\xfe",
    ],
)
def test_anything_but_the_token_is_refused(guarded: RunningServer, value: str) -> None:
    headers = [(b"authorization", value.encode("latin-1"))]
    answer = httpx.get(f"{guarded.url}/model", headers=headers)

    check_refusal(answer, status=401, code="Unauthorized")


def test_the_scheme_may_be_written_in_any_case(guarded: RunningServer) -> None:
    answer = httpx.get(f"{guarded.url}/model", headers={"Authorization": f"bearer  {TOKEN}"})

    assert answer.status_code == 200


def test_starting_the_checks_needs_the_token_too(guarded: RunningServer) -> None:
    check_refusal(httpx.post(f"{guarded.url}/console/conformance"), status=401, code="Unauthorized")


def test_with_the_wider_scope_metrics_and_models_need_the_token(start: Starter, tmp_path: Path) -> None:
    server = start(
        SERVICE_TOKEN=TOKEN,
        SERVICE_TOKEN_SCOPE="admin",
        SAGEMAKER_MULTI_MODEL="true",
        SERVICE_PREFIX=str(tmp_path),
    )
    body = {"model_name": "a", "url": "/none"}
    with httpx.Client(base_url=server.url) as client:
        asked = [
            client.get("/metrics"),
            client.get("/models"),
            client.post("/models", json=body),
            client.get("/models/a"),
            client.delete("/models/a"),
            client.delete("/models/a/invoke"),
            client.get("/models/a/invoke"),
        ]
        for answer in asked:
            check_refusal(answer, status=401, code="Unauthorized")
        assert client.get("/models", headers=BEARER).json() == {"models": []}
        check_refusal(
            client.post("/models/a/invoke", content=DEFAULT_BODY), status=404, code="ModelNotLoaded"
        )
        assert client.get("/ping").status_code == 200


def test_sagemaker_may_load_models_without_the_token(start: Starter, tmp_path: Path) -> None:
    server = start(SERVICE_TOKEN=TOKEN, SAGEMAKER_MULTI_MODEL="true", SERVICE_PREFIX=str(tmp_path))

    assert httpx.get(f"{server.url}/models").json() == {"models": []}


@pytest.mark.parametrize(
    "token", ["short", "x" * 15, "with a blank in it 123", "ümläut-ümläut-ümläut", "a\nb" * 8]
)
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused_untold(store_path: Path, token: str) -> None:
    done = run_serve("--port", "0", "--store", str(store_path), SERVICE_TOKEN=token)

    assert done.returncode == 2
    assert "SERVICE_TOKEN must have 16 or more" in done.stderr
    assert token not in done.stderr
    assert token not in repr(read_settings(token=token))


def test_no_other_site_may_read_anything(client: httpx.Client) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    for path in ("/", "/model", "/live", "/metrics", "/console/model", "/openapi.json", "/docs", "/ping"):
        answers = (client.get(path, headers=origin), client.options(path, headers=asked))

        for answer in answers:
            assert not [name for name in answer.headers if name.startswith("access-control-")], path
        assert answers[1].status_code in {404, 405}, path
    assert client.options("/invocations", headers=asked).status_code == 405
    reply = client.post("/invocations", content=DEFAULT_BODY, headers=origin)
    assert not [name for name in reply.headers if name.startswith("access-control-")]


def test_the_page_of_the_api_has_a_policy(client: httpx.Client) -> None:
    headers = client.get("/docs").headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_client_that_asks_too_fast_is_told_when_to_come_again(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SERVICE_CONSOLE_RATE="1", SERVICE_TOKEN=TOKEN)
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        assert client.get("/model").status_code == 401
        wait_until(lambda: client.get("/model").status_code == 429, what="the limit")
        refused = client.get("/console/model", headers=BEARER)

        check_refusal(refused, status=429, code="TooManyRequests")
        assert 1 <= int(refused.headers["retry-after"]) <= BURST_S
        for _ in range(3 * BURST_S):
            assert client.post("/invocations", content=DEFAULT_BODY).status_code == 200
            assert client.get("/ping").status_code == 200
            assert client.get("/execution-parameters").status_code == 200


def test_without_a_limit_nobody_is_told_to_wait(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SERVICE_CONSOLE_RATE="0")
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        assert {client.get("/metrics").status_code for _ in range(700)} == {200}


def test_a_bucket_fills_again_at_its_rate() -> None:
    now = 1000.0
    limit = RateLimit(2, now=lambda: now)
    taken = [limit.take("a") for _ in range(2 * BURST_S + 3)]

    assert taken[: 2 * BURST_S] == [0.0] * (2 * BURST_S)
    assert taken[2 * BURST_S :] == pytest.approx([0.5] * 3)
    assert limit.take("b") == 0.0
    now += 0.5
    assert limit.take("a") == 0.0
    assert limit.take("a") == pytest.approx(0.5)
    now += 3600
    assert [limit.take("a") for _ in range(2 * BURST_S)] == [0.0] * (2 * BURST_S)
    assert limit.take("a") > 0


def test_clients_without_end_take_no_memory_without_end() -> None:
    limit = RateLimit(1, now=lambda: 0.0)
    for number in range(MAX_CLIENTS + 1000):
        limit.take(f"10.0.{number // 256}.{number % 256}")
        limit.take("busy")

    assert len(limit) == MAX_CLIENTS
    assert limit.take("busy") > 0, "whoever goes on asking is not forgotten"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_network_is_one_client(host: str, expected: str) -> None:
    assert _client({"client": (host, 1)}) == expected
    assert _client({"client": None}) == ""


@pytest.mark.parametrize(
    ("mark", "pid", "expected"),
    [
        (None, 4711, False),
        (".dockerenv", 4711, True),
        ("run/.containerenv", 4711, True),
        (None, 1, True),
    ],
)
def test_a_container_is_known_by_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str | None, pid: int, *, expected: bool
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if mark:
        (tmp_path / mark).parent.mkdir(exist_ok=True)
        (tmp_path / mark).touch()

    assert is_contained(tmp_path, pid=pid) is expected
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert is_contained(tmp_path, pid=pid)


def test_a_laptop_listens_for_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.settings.is_contained", lambda: False)

    assert read_settings(prefix=tmp_path / "none").address == LOOPBACK
    assert read_settings(prefix=tmp_path).address == ALL_INTERFACES, "SageMaker's tree"
    assert read_settings(prefix=tmp_path / "none", host="192.0.2.7").address == "192.0.2.7"


def test_the_address_that_is_listened_on_is_logged(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path))

    assert "address=127.0.0.1" in server.log.read_text()


def test_a_token_is_compared_by_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is given, as many bytes are compared."""
    lengths = set()

    def compare(one: bytes, other: bytes) -> bool:
        lengths.add((len(one), len(other)))
        return one == other

    monkeypatch.setattr("service.serving.access.hmac.compare_digest", compare)
    access = Access(read_settings(token=TOKEN))
    for given in (b"", b"x", TOKEN.encode(), os.urandom(1000)):
        scope = {"headers": [(b"authorization", b"Bearer " + given)]}
        assert access._has_token(scope) is (given == TOKEN.encode())

    assert lengths == {(32, 32)}


def test_a_bad_token_stops_the_application_before_it_listens() -> None:
    with pytest.raises(ConfigurationError):
        Access(read_settings(token="short"))
