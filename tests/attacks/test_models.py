"""Names and archives of a server of many models: none leads out of its folder, none unpacks without end."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from service.artifact import MANIFEST, MODEL
from service.store import Store
from tests.attacks.conftest import ANSWER_S, MIB, PING, SMALL, Victim, post, read_all, statuses
from tests.attacks.hosts import AS_SAGEMAKER, CONTAINER, PROCESS, Host, container_host, process_host

pytestmark = pytest.mark.timing

NAMES = (
    "..", "../..", ".", "/", "//", "a/../../b", "%2e%2e", "%2e%2e%2f", "..%2f..", "a\\..\\b", "con", "~root",
    "invoke", "invoke/invoke", "a?b", "a#b", "a%00b", "%", "%zz", "é", "日本", "a" * 1024, "$(id)", "a;b",
    "'\"<>",
)  # fmt: skip
BAD_NAMES = ("", "a\0b", "a\nb", "\x7f", "a" * 1025, "\u202e", "\ud800")


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory, store_path: Path) -> Path:
    """Return a tree with a model, a secret beside the models, and room for bad ones; any user may read it."""
    folder = tmp_path_factory.mktemp("many")
    for path in (folder, folder / "models", folder / "secret", folder / "bombs"):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    shutil.copy(Store(store_path).resolve(), folder / "models" / "good.tar.gz")
    (folder / "models" / "good.tar.gz").chmod(0o644)
    (folder / "secret" / MODEL).write_text("CANARY")
    return folder


@pytest.fixture(name="running", scope="module", params=[PROCESS, CONTAINER])
def _running(request: pytest.FixtureRequest, folder: Path) -> Iterator[Host]:
    """Serve many models as a process, and as SageMaker starts the image."""
    variables = {"SAGEMAKER_MULTI_MODEL": "true", "SERVICE_PREFIX": str(folder)}
    with (
        process_host(folder, **variables)
        if request.param == PROCESS
        else container_host(AS_SAGEMAKER, mounts=[(folder, str(folder))], **variables)
    ) as host:
        loaded = Victim(host)
        assert statuses(load(loaded, "own", str(folder / "models" / "good.tar.gz"))) == [200]
        loaded.close_all()
        yield host


@pytest.fixture(name="victim")
def _victim(running: Host) -> Iterator[Victim]:
    victim = Victim(running)
    files, pss = victim.files(), victim.pss_bytes()
    yield victim
    victim.close_all()
    assert statuses(ask(victim, PING)) == [200]
    assert ask(victim, post(SMALL, target=b"/models/own/invoke")).endswith(b"[2]")
    victim.close_all()
    assert victim.files() <= files + 4
    assert victim.pss_bytes() < pss + 128 * MIB  # a file of an archive may have 64


def ask(victim: Victim, request: bytes) -> bytes:
    return read_all(victim.send(request.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n", 1)))


def load(victim: Victim, name: str, url: str) -> bytes:
    body = json.dumps({"model_name": name, "url": url}).encode()
    return ask(victim, post(body, target=b"/models"))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_a_name(victim: Victim, folder: Path, name: str) -> None:
    """Models are loaded by path and asked for by name; the name is never made a path."""
    escaped = quote(name, safe="").encode()
    assert statuses(load(victim, name, str(folder / "models" / "good.tar.gz"))) == [200]
    assert ask(victim, post(SMALL, target=b"/models/" + escaped + b"/invoke")).endswith(b"[2]")
    assert statuses(ask(victim, b"DELETE /models/%b HTTP/1.1\r\nHost: a\r\n\r\n" % escaped)) == [200]
    assert statuses(ask(victim, post(SMALL, target=b"/models/" + escaped + b"/invoke"))) == [404]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_cannot_be_shown_is_refused(victim: Victim, folder: Path, name: str) -> None:
    assert statuses(load(victim, name, str(folder / "models" / "good.tar.gz"))) == [400]


@pytest.mark.parametrize(
    "target",
    [
        "../secret",
        "..",
        "/etc/passwd",
        "../../../../etc/passwd",
        "x/../../secret",
        ".",
        "%2e%2e/secret",
        "a" * 1024,
    ],
)
def test_a_target_model_leads_out_of_no_folder(victim: Victim, target: str) -> None:
    request = post(
        SMALL, b"X-Amzn-SageMaker-Target-Model: " + target.encode(), target=b"/endpoints/e/invocations"
    )
    answer = ask(victim, request)

    assert statuses(answer)[0] in {400, 424}
    assert b"CANARY" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "url",
    [
        "/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/environ",
        "/",
        "file:///etc/../etc/shadow",
        "/\0",
        "/" + "a" * 5000,
    ],
)
def test_what_is_no_model_is_refused_whatever_it_is(victim: Victim, url: str) -> None:
    answer = load(victim, "evil", url)

    assert statuses(answer) in ([400], [404])
    assert b"root:" not in answer
    assert len(answer.partition(b"\r\n\r\n")[2]) < 2048
    assert victim.answer_s_of_ping() < ANSWER_S


def archive(path: Path, *, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zeros(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(64 * MIB), 9) * 16)


def huge_file(path: Path) -> None:
    with gzip.open(path, "wb", 1) as file:
        info = member(MODEL)
        info.size = 8 * 2**30
        file.write(info.tobuf())
        file.write(bytes(64 * MIB))


ZEROS = bytes(60 * MIB)
MEMBERS: dict[str, list[tuple[tarfile.TarInfo, bytes]]] = {
    "long name": [(member("n" * 60_000), b"")],
    "deep model": [(member(MODEL), b"[" * 1_000_000), (member(MANIFEST), b"[" * 1_000_000)],
    "link": [(member(MODEL, tarfile.SYMTYPE, "/etc/passwd"), b"")],
    "hard link": [(member(MODEL, tarfile.LNKTYPE, "/etc/passwd"), b"")],
    "device": [(member(MODEL, tarfile.CHRTYPE), b"")],
    "up": [(member("../evil"), b"x")],
    "root": [(member("/tmp/evil"), b"x")],
    "many files": [(member(f"f{n}"), ZEROS) for n in range(5)],
    "many empty files": [(member(f"f{n}"), b"") for n in range(50_000)],
}
BOMBS: dict[str, Callable[[Path], object]] = {
    "zeros": zeros,
    "huge file": huge_file,
    **{name: partial(archive, members=members) for name, members in MEMBERS.items()},
}


@pytest.mark.parametrize("kind", BOMBS)
def test_an_archive_that_unpacks_without_end_is_refused(victim: Victim, folder: Path, kind: str) -> None:
    path = folder / "bombs" / "model.tar.gz"
    BOMBS[kind](path)
    path.chmod(0o644)
    answer = load(victim, "bomb", str(path))

    assert statuses(answer) == [400]
    assert b"root:" not in answer
    assert not (folder / "evil").exists()
