"""Models that are not signed as they seem to be: no server that trusts keys starts with or loads one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.artifact import Artifact
from service.signing import PrivateKey
from tests.attacks.conftest import SMALL, Victim, post, read_all, statuses
from tests.attacks.hosts import process_host
from tests.serving.conftest import run_serve
from tests.untrusted import BREACHES, archived, signed


@pytest.fixture(name="key", scope="module")
def _key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(name="many", scope="module")
def _many(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Iterator[Victim]:
    """Serve many models, of which those that the key has signed are trusted."""
    folder = tmp_path_factory.mktemp("many")
    variables = {"SAGEMAKER_MULTI_MODEL": "true", "SERVICE_PREFIX": str(folder)}
    with process_host(folder, **variables, SERVICE_TRUSTED_KEYS=key.public.pem) as host:
        yield Victim(host)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "model.tar.gz"
    path.write_bytes(content)
    return path


def load(victim: Victim, path: Path) -> bytes:
    body = json.dumps({"model_name": path.parent.name, "url": str(path)}).encode()
    return ask(victim, post(body, b"Connection: close", target=b"/models"))


def ask(victim: Victim, request: bytes) -> bytes:
    answer = read_all(victim.send(request))
    victim.close_all()
    return answer


@pytest.mark.parametrize("breach", BREACHES)
def test_no_server_starts_with_a_model_that_is_not_signed(
    tmp_path: Path, artifact: Artifact, key: PrivateKey, breach: str
) -> None:
    make, reason = BREACHES[breach]
    path = write(tmp_path, make(artifact.files, key))
    done = run_serve("--port", "0", "--model", str(path), SERVICE_TRUSTED_KEYS=key.public.pem)

    assert done.returncode == 3
    assert reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("breach", BREACHES)
def test_no_server_loads_a_model_that_is_not_signed(
    tmp_path: Path, many: Victim, artifact: Artifact, key: PrivateKey, breach: str
) -> None:
    make, reason = BREACHES[breach]
    answer = load(many, write(tmp_path, make(artifact.files, key)))

    assert statuses(answer) == [400]
    assert reason.encode() in answer
    assert many.answer_s_of_ping() < 2


def test_what_is_signed_is_loaded(tmp_path: Path, many: Victim, artifact: Artifact, key: PrivateKey) -> None:
    """The others are refused for what is wrong with them, not for how they are made."""
    path = write(tmp_path, archived(signed(artifact.files, key)))
    invoke = post(SMALL, b"Connection: close", target=b"/models/%b/invoke" % path.parent.name.encode())

    assert statuses(load(many, path)) == [200]
    assert ask(many, invoke).endswith(b"[2]")
