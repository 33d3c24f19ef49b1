"""What an engine says of an image is judged without starting it."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from service.conformance import image as inspection
from service.conformance.hosting import Image
from service.conformance.verdict import Outcome, judge

CHECKS = dict(inspection.CHECKS)
GOOD: dict[str, Any] = {
    "Os": "linux",
    "Architecture": "amd64",
    "Size": 500_000_000,
    "Config": {"Entrypoint": ["python", "-m", "service"], "User": "", "Labels": None},
}


def outcome(clause_id: str, known: dict[str, Any], archive: Path | None = None) -> Outcome:
    image = Image("a", known, None, (), is_default=True, timeout_s=1, start_timeout_s=1)
    return judge(clause_id, CHECKS[clause_id], inspection.Inspection(image, archive)).outcome


def with_config(**changes: object) -> dict[str, Any]:
    return {**GOOD, "Config": {**GOOD["Config"], **changes}}


@pytest.mark.parametrize("clause_id", sorted(set(CHECKS) - {"C35"}))
def test_an_ordinary_image_passes(clause_id: str) -> None:
    assert outcome(clause_id, GOOD) is Outcome.PASS


@pytest.mark.parametrize(
    ("clause_id", "known", "expected"),
    [
        ("C2", with_config(Entrypoint=["/bin/sh", "-c", "python app.py"]), Outcome.FAIL),
        ("C2", with_config(Entrypoint=None), Outcome.PASS),
        ("C2", with_config(Entrypoint=["sh", "entrypoint.sh"]), Outcome.PASS),
        ("C3", with_config(Entrypoint=["/usr/bin/tini", "--", "python"]), Outcome.FAIL),
        ("C3", with_config(Entrypoint=["dumb-init", "python"]), Outcome.FAIL),
        ("C5", with_config(User="1000"), Outcome.FAIL),
        ("C5", with_config(User="root"), Outcome.PASS),
        ("C44", {**GOOD, "Architecture": "arm64"}, Outcome.WARN),
        ("C64", {**GOOD, "Size": 10 * 10**9 + 1}, Outcome.WARN),
        (
            "C115",
            {**GOOD, "Descriptor": {"mediaType": "application/vnd.oci.image.index.v1+json"}},
            Outcome.FAIL,
        ),
        (
            "C115",
            {**GOOD, "Descriptor": {"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}},
            Outcome.PASS,
        ),
    ],
)
def test_a_fault_of_an_image_is_seen(clause_id: str, known: dict[str, Any], expected: Outcome) -> None:
    assert outcome(clause_id, known) is expected


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for member in members:
            member.size = 1 if member.isreg() else 0
            packed.addfile(member, io.BytesIO(b"a") if member.isreg() else None)
    return path


def link(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.SYMTYPE
    member.linkname = "model.json"
    return member


def test_an_archive_of_plain_files_passes(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.tar.gz", tarfile.TarInfo("model.json"))

    assert outcome("C35", GOOD, path) is Outcome.PASS


def test_without_an_archive_there_is_nothing_to_judge() -> None:
    assert outcome("C35", GOOD) is Outcome.SKIP


def test_archives_that_sagemaker_would_not_take_are_caught(tmp_path: Path) -> None:
    linked = archive(tmp_path / "linked.tar.gz", tarfile.TarInfo("model.json"), link("latest.json"))
    misnamed = archive(tmp_path / "model.tgz", tarfile.TarInfo("model.json"))
    empty = archive(tmp_path / "empty.tar.gz")
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(linked.read_bytes()[:-20])
    plain = tmp_path / "plain.tar.gz"
    plain.write_bytes(b"not gzip")

    assert [outcome("C35", GOOD, path) for path in (linked, misnamed, empty, cut, plain)] == [
        Outcome.FAIL
    ] * 5
