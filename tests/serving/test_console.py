"""The console's page, its files and the routes that it asks, without a browser."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.artifact import Artifact
from service.serving.card import model_card
from service.serving.console import CONTENT_SECURITY_POLICY, FILES, add_console
from service.serving.contract_check import ContractCheck
from service.serving.versions import find_store
from service.settings import read_settings
from service.store import Store
from tests.conftest import DEADLINE_S, Starter, do_without, start_server, wait_until
from tests.serving.conftest import check_refusal

URL = "http://127.0.0.1:8080"
VERDICT = {"clause": "C13", "verdict": "pass", "sentence": "GET /ping answers 200", "detail": "in 2 ms"}
REPORTED = {
    "clause": "C13",
    "outcome": "pass",
    "sentence": "GET /ping answers 200",
    "reason": "in 2 ms",
    "force": "must",
    "sent": "",
    "received": "",
    "mend": "",
    "took_s": 0.002,
}


def conform(
    artifact: Artifact, program: str, *, headers: dict[str, str] | None = None
) -> tuple[int, list[dict[str, str]]]:
    """POST to the route with a program in place of `segserve conform`; return the status and the lines."""
    import asyncio

    app = FastAPI()
    check = ContractCheck((sys.executable, "-c", f"import json, sys\n{program}"))
    add_console(app, artifact=artifact, settings=read_settings(), check=check)

    async def answer() -> tuple[int, list[dict[str, str]]]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            response = await client.post("/console/conformance", headers=headers)
            lines = response.text.splitlines() if response.status_code == 200 else []
            return response.status_code, [json.loads(line) for line in lines]

    return asyncio.run(answer())


def sources() -> Iterator[Path]:
    """Yield our own files of the page."""
    for path in sorted(FILES.rglob("*")):
        if path.is_file() and "vendor" not in path.parts:
            yield path


@pytest.mark.parametrize("path", ["/", "/console/static/main.js", "/console/static/score-worker.js"])
def test_every_file_of_the_page_has_its_policy(client: httpx.Client, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 200
    assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    fresh = client.get(path, headers={"if-none-match": response.headers["etag"]})
    assert fresh.status_code == 304
    assert fresh.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/", "text/html"), ("/console/static/main.js", "javascript"), ("/console/static/base.css", "text/css")],
)
def test_files_have_the_types_that_browsers_insist_on(
    client: httpx.Client, path: str, content_type: str
) -> None:
    assert content_type in client.get(path).headers["content-type"]


def test_the_page_has_no_inline_script_nor_style_and_all_that_it_names_is_there(client: httpx.Client) -> None:
    page = client.get("/").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
    assert len(links) >= 6
    for link in links:
        assert client.get(f"/{link}").status_code == 200, link


def test_modules_import_files_of_ours_only(client: httpx.Client) -> None:
    imported = 0
    for path in FILES.rglob("*.js"):
        for name in re.findall(r"""\b(?:from|import)\s*\(?["']([^"']+)["']""", path.read_text()):
            assert (path.parent / name).resolve().is_file(), (path, name)
            assert FILES in (path.parent / name).resolve().parents
            imported += 1
    assert imported > 20
    assert client.get("/console/static/vendor/htm.js").status_code == 200


def test_no_file_of_the_page_names_another_host() -> None:
    allowed = {"runtime.sagemaker.$AWS_REGION.amazonaws.com", "www.w3.org"}
    for path in sources():
        hosts = set(re.findall(r"https?://([\w.$-]+)", path.read_text())) - {"$"}
        assert hosts <= allowed, path


def test_our_modules_stay_short() -> None:
    for path in sources():
        assert len(path.read_text().splitlines()) <= 300, path


def test_vendored_libraries_are_those_that_are_pinned() -> None:
    root = Path(__file__).parents[2]
    pinned = json.loads((root / "console" / "package.json").read_text())["dependencies"]
    lock = (root / "console" / "package-lock.json").read_text()

    assert json.loads((FILES / "vendor" / "versions.json").read_text()) == pinned
    assert '"resolved"' not in lock
    assert all(json.loads(lock)["packages"][f"node_modules/{name}"]["integrity"] for name in pinned)


def test_vendored_libraries_are_what_the_packages_hold() -> None:
    import subprocess

    root = Path(__file__).parents[2]
    if not (root / "console" / "node_modules" / "preact").is_dir():
        do_without("npm ci --prefix console has not been run")
    result = subprocess.run(
        [sys.executable, "console/vendor.py", "--check"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr


def test_the_page_s_model_has_what_it_draws_with(client: httpx.Client, artifact: Artifact) -> None:
    card = client.get("/console/model").json()

    assert card["scaling"] == {"mean": list(artifact.model.mean), "scale": list(artifact.model.scale)}
    assert card["income_median"] == artifact.model.income_median
    assert card["server"]["max_payload_bytes"] == read_settings().max_payload_bytes
    assert [segment["outlier_distance"] for segment in card["segments"]] == [
        segment.outlier_distance for segment in artifact.model.segments
    ]


def test_the_card_for_people_leaves_out_what_is_for_drawing(artifact: Artifact) -> None:
    from dataclasses import replace

    training = {
        "baseline": {"n": 3, "sample": {"Age": [1]}},
        "segments": [{"id": 0, "silhouettes": [0.1], "name": "x"}],
    }
    full = replace(artifact, files={"training.json": json.dumps(training).encode()})

    assert model_card(full)["training"] == {"baseline": {"n": 3}, "segments": [{"id": 0, "name": "x"}]}


def test_versions_say_which_is_served(client: httpx.Client, artifact: Artifact) -> None:
    listed = client.get("/console/versions").json()

    assert listed["total"] == 1
    (version,) = listed["versions"]
    assert version["version"] == artifact.manifest.model_version
    assert version["is_served"]
    assert version["is_latest"]
    assert not version["is_production"]
    assert version["customers"] == 1000
    card = client.get(f"/console/versions/{version['version']}").json()
    assert card["model_digest"] == artifact.model.digest


@pytest.mark.parametrize("name", ["20200101T000000Z-00000000", "latest", "x", "%2e%2e"])
def test_a_version_that_is_not_there_is_refused(client: httpx.Client, name: str) -> None:
    message = check_refusal(client.get(f"/console/versions/{name}"), status=410, code="Error")

    assert "version" in message or "store" in message


def test_a_damaged_version_is_listed_with_what_is_wrong(
    start: Starter, store_path: Path, tmp_path: Path
) -> None:
    import shutil

    root = tmp_path / "store"
    shutil.copytree(store_path, root)
    served = Store(root).latest()
    damaged = root / "20200101T000000Z-00000000"
    damaged.mkdir()
    (damaged / "model.tar.gz").write_bytes(b"not an archive")
    server = start("--store", str(root))
    listed = httpx.get(f"{server.url}/console/versions").json()["versions"]

    assert [version["version"] for version in listed] == [served, damaged.name]
    assert listed[1]["problem"]
    check_refusal(httpx.get(f"{server.url}/console/versions/{damaged.name}"), status=503, code="Error")


def test_a_model_of_its_own_has_no_versions(
    store_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = str(Store(store_path).resolve())
    server = start_server(tmp_path_factory.mktemp("single"), "--model", path)
    listed = httpx.get(f"{server.url}/console/versions", timeout=DEADLINE_S).json()
    server.stop()

    assert listed["versions"] == []
    assert "only a model store has versions" in listed["sentence"]


def test_a_version_by_name_comes_from_the_store(store_path: Path, tmp_path: Path) -> None:
    version = Store(store_path).latest()

    assert find_store(read_settings(store=str(store_path), model=version)) is not None
    assert find_store(read_settings(store=str(store_path), model="./model.tar.gz")) is None
    unpacked = tmp_path / "model"
    unpacked.mkdir()
    (unpacked / "model.json").touch()
    assert find_store(read_settings(store=str(store_path), prefix=str(tmp_path))) is None


@pytest.mark.parametrize(
    "program",
    [
        f"print(json.dumps({VERDICT}))",
        f"print('warming up'); print(json.dumps({VERDICT}))",
        f"print(json.dumps([{VERDICT}], indent=2))",
        f"print(json.dumps({{'url': 'x', 'verdicts': [{VERDICT}]}}, indent=2)); sys.exit(1)",
        f"print(json.dumps({{'counts': {{'pass': 1}}, 'verdicts': [{REPORTED}]}}, indent=2))",
    ],
)
def test_verdicts_are_passed_on_however_the_command_writes_them(artifact: Artifact, program: str) -> None:
    status, lines = conform(artifact, program)

    assert status == 200
    assert lines == [VERDICT, {"state": "done", "sentence": "1 verdicts"}]


def test_the_checks_get_the_address_of_the_connection(artifact: Artifact) -> None:
    program = "print(json.dumps({'clause': 'C1', 'verdict': 'pass', 'detail': ' '.join(sys.argv[1:])}))"
    _, lines = conform(artifact, program, headers={"host": "evil.example"})

    assert lines[0]["detail"] == f"{URL} --json"


@pytest.mark.parametrize(
    ("program", "state", "sentence"),
    [
        ("sys.stderr.write('No such command'); sys.exit(2)", "unavailable", "no command 'conform'"),
        ("sys.exit(3)", "failed", "exit code 3"),
        ("print('{\"clause\": 1}')", "failed", "exit code 0"),
    ],
)
def test_a_run_without_verdicts_says_why(artifact: Artifact, program: str, state: str, sentence: str) -> None:
    status, lines = conform(artifact, program)

    assert status == 200
    assert len(lines) == 1
    assert lines[0]["state"] == state
    assert sentence in lines[0]["sentence"]


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}],
)
def test_another_site_cannot_start_the_checks(artifact: Artifact, headers: dict[str, str]) -> None:
    status, _ = conform(artifact, f"print(json.dumps({VERDICT}))", headers=headers)

    assert status == 403


def test_who_leaves_ends_the_checks(tmp_path: Path) -> None:
    import asyncio
    import os

    note = tmp_path / "pid"
    program = (
        f"import os, time; print(json.dumps({VERDICT}), flush=True); "
        f"open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    check = ContractCheck((sys.executable, "-c", f"import json, sys\n{program}"))

    async def leave() -> Sequence[bool]:
        run = check.run(URL)
        assert json.loads(await anext(run)) == VERDICT
        during = check.is_running
        await asyncio.to_thread(
            wait_until, lambda: note.exists() and bool(note.read_text()), what="the program's note"
        )
        await run.aclose()  # type: ignore[attr-defined]  # it is a generator
        return during, check.is_running

    assert asyncio.run(leave()) == (True, False)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
