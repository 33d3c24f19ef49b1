"""Artifacts of strangers are refused in a sentence, soon, in little memory, and run nothing."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.artifact import Artifact, pack, read_artifact
from tests.conftest import DEADLINE_S, clean_environment, start_server
from tests.untrusted import (
    ARCHIVES,
    FORGERIES,
    MIB,
    NOON,
    PROVENANCE,
    Files,
    beside,
    header,
    member,
    pax,
    seal_all,
    tar,
    write_attacks,
)

MAX_GROWTH_MB = 450
"""MAX_ARCHIVE_BYTES, and room for one more copy of the largest file."""
MAX_CPU_S = 15
"""An honest artifact takes milliseconds; what unpacks to 256 MiB takes a second or two."""

TRY_ALL = """
import contextlib, io, json, resource, signal, sys, time
from service.cli import run
import service.serving.server

resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
def hang(*_):
    raise SystemExit(99)
signal.signal(signal.SIGALRM, hang)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
for path in sys.argv[1:]:
    before, since, errors = peak(), time.process_time(), io.StringIO()
    signal.alarm(100)
    with contextlib.redirect_stderr(errors):
        code = run(["serve", "--model", path, "--port", "0", "--host", "127.0.0.1"])
    signal.alarm(0)
    print(json.dumps([code, errors.getvalue(), peak() - before, time.process_time() - since]), flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    """Hold what `segserve serve` made of an attack."""

    code: int
    errors: str
    growth_mb: int
    cpu_s: float


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacks")


@pytest.fixture(name="attacks", scope="module")
def _attacks(folder: Path, artifact: Artifact) -> dict[str, Path]:
    return write_attacks(folder, artifact)


@pytest.fixture(name="outcomes", scope="module")
def _outcomes(attacks: dict[str, Path]) -> dict[str, Outcome]:
    """Let one process try to serve each of them."""
    done = subprocess.run(
        [sys.executable, "-c", TRY_ALL, *map(str, attacks.values())],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(lines) == len(attacks), f"{list(attacks)[len(lines)]}:\n{done.stderr[-3000:]}"
    return {name: Outcome(*json.loads(line)) for name, line in zip(attacks, lines, strict=True)}


@pytest.mark.xdist_group("untrusted")
@pytest.mark.parametrize("name", [*ARCHIVES, *FORGERIES])
def test_a_malicious_artifact_is_refused_in_a_sentence(
    outcomes: dict[str, Outcome], folder: Path, name: str
) -> None:
    outcome = outcomes[name]

    assert outcome.code == 3, outcome
    assert outcome.errors.count("\n") == 1
    assert outcome.errors.startswith("Error: ")
    assert outcome.errors.rstrip("\n").isprintable()
    assert 20 < len(outcome.errors) < 400
    assert outcome.growth_mb < MAX_GROWTH_MB
    assert outcome.cpu_s < MAX_CPU_S
    assert not (folder / "canary").exists()


@pytest.mark.xdist_group("untrusted")
def test_the_same_files_untouched_are_served(tmp_path: Path, artifact: Artifact) -> None:
    """The attacks are refused for what is wrong with them, not for how they are made."""
    path = tmp_path / "model.tar.gz"
    path.write_bytes(pack(artifact.files, provenance=PROVENANCE, created=NOON)[1])

    assert read_artifact(path).model.digest == artifact.model.digest


HARMLESS: dict[str, Callable[[Files], bytes]] = {
    "as it is": beside,
    "dates by pax": lambda files: in_pax(files, mtime="1e400", atime="nan", ctime="-1"),
    "dates that are none": lambda files: in_pax(files, mtime="x" * 1000),
    "sizes by pax": lambda files: in_pax(files, size=None),
    "names by pax": lambda files: in_pax(files, path=None),
    "a comment by pax": lambda files: in_pax(files, comment="x" * 30_000, uid="-5", gname="x" * 1000),
    "names with ./": lambda files: tar(
        *(member(f"./{name}", content) for name, content in seal_all(files).items())
    ),
    "long names": lambda files: tar(
        *(
            member("n", f"{name}\0".encode(), tarfile.GNUTYPE_LONGNAME) + member("x" * 90, content)
            for name, content in seal_all(files).items()
        )
    ),
    "a folder": lambda files: tar(
        header("./", tarfile.DIRTYPE), *(member(*item) for item in seal_all(files).items())
    ),
    "a long end": lambda files: beside(files, bytes(MIB)),
    "no end": lambda files: tar(*(member(*item) for item in seal_all(files).items()), end=b""),
}
"""Ways to write the same archive, which tools that are none of ours may take."""


def in_pax(files: Files, **records: str | None) -> bytes:
    """Return an artifact whose members all have these records; None stands for what is so."""

    def told(name: str, content: bytes) -> bytes:
        own = {"path": name, "size": str(len(content))}
        return pax(**{key: own[key] if value is None else value for key, value in records.items()})

    return tar(*(told(*item) + member(*item) for item in seal_all(files).items()))


@pytest.mark.parametrize("way", HARMLESS)
def test_what_means_the_same_is_the_same_model(tmp_path: Path, artifact: Artifact, way: str) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(HARMLESS[way](artifact.files))

    assert read_artifact(path).model.digest == artifact.model.digest


@pytest.mark.xdist_group("untrusted")
def test_a_multi_model_server_refuses_them_all_and_goes_on(
    tmp_path: Path, attacks: dict[str, Path], folder: Path, artifact: Artifact
) -> None:
    good = tmp_path / "good.tar.gz"
    good.write_bytes(pack(artifact.files, provenance=PROVENANCE, created=NOON)[1])
    server = start_server(tmp_path, SAGEMAKER_MULTI_MODEL="true", SERVICE_PREFIX=str(tmp_path / "ml"))
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        for name, path in attacks.items():
            answer = client.post("/models", json={"model_name": "x", "url": str(path)})

            assert answer.status_code == 400, (name, answer.text)
            assert answer.json()["error"]["code"] == "InvalidModel", name
            assert len(answer.content) < 2048, name
        assert client.get("/models").json() == {"models": []}
        assert client.post("/models", json={"model_name": "x", "url": str(good)}).status_code == 200
        assert client.post("/models/x/invoke", content=b"[[25, 1250.0]]").status_code == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()
    assert not (folder / "canary").exists()
