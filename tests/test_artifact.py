"""An artifact can be made again byte for byte, and none that was touched is accepted."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service import archive as subject
from service.artifact import ARCHIVE, MANIFEST, Artifact, Provenance, pack, read_artifact
from service.errors import CorruptArtifactError, IncompatibleArtifactError, ModelNotFoundError

NOON = datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC)
PROVENANCE = Provenance(python="3.11", libraries={}, git_revision=None, data_digest="0" * 64)
_GZIP_HEADER_BYTES = 10
"""Without a name in it; its time and system are anybody's."""

Files = dict[str, bytes]


@pytest.fixture(name="files")
def _files(artifact: Artifact) -> Files:
    """Return the files of a good artifact, the manifest included."""
    _, content = pack(artifact.files, provenance=PROVENANCE, created=NOON)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]  # all are files


def write_archive(folder: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    path = folder / ARCHIVE
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def file_member(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def special_member(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member, b""


def write_folder(folder: Path, files: Files) -> Path:
    path = folder / "model"
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def test_packing_twice_gives_the_same_bytes(artifact: Artifact) -> None:
    first = pack(artifact.files, provenance=PROVENANCE, created=NOON)
    second = pack(dict(reversed(list(artifact.files.items()))), provenance=PROVENANCE, created=NOON)

    assert first == second
    assert first[0].startswith("20261123T120000Z-")
    assert first[1][4:8] == bytes(4), "gzip's own time"


def test_an_archive_holds_regular_files_at_its_root(store_path: Path) -> None:
    path = next(store_path.glob("*/model.tar.gz"))
    with tarfile.open(path) as archive:
        members = archive.getmembers()

    assert [member.name for member in members] == [
        "manifest.json",
        "model.json",
        "pipeline.skops",
        "report.html",
        "training.json",
    ]
    assert all(member.isreg() and member.mtime == 0 and member.uid == 0 for member in members)


def test_archive_and_unpacked_folder_read_alike(tmp_path: Path, files: Files) -> None:
    folder = write_folder(tmp_path, files)
    path = write_archive(tmp_path, [file_member(name, content) for name, content in files.items()])

    assert read_artifact(path) == read_artifact(folder)


def test_an_archive_made_by_tar_of_a_folder_is_read(tmp_path: Path, files: Files) -> None:
    folder = write_folder(tmp_path, files)
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as archive:
        archive.add(folder, arcname=".")

    assert read_artifact(tmp_path / ARCHIVE).manifest.model_version


ATTACKS: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "parent path": ([file_member("../model.json", b"{}")], "plain file names"),
    "absolute path": ([file_member("/etc/passwd", b"x")], "plain file names"),
    "nested path": ([file_member("code/inference.py", b"x")], "plain file names"),
    "hidden file": ([file_member(".bashrc", b"x")], "plain file names"),
    "symbolic link": ([special_member("link", tarfile.SYMTYPE, "/etc/passwd")], "not a regular file"),
    "hard link": ([special_member("link", tarfile.LNKTYPE, "model.json")], "not a regular file"),
    "device": ([special_member("null", tarfile.CHRTYPE)], "not a regular file"),
    "fifo": ([special_member("pipe", tarfile.FIFOTYPE)], "not a regular file"),
    "folder": ([special_member("code", tarfile.DIRTYPE)], "not a regular file"),
    "undeclared file": ([file_member("inference.py", b"import os")], "not named in manifest.json"),
    "duplicate": ([file_member("model.json", b"{}")], "model.json twice"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_archive_with_anything_else_in_it_is_refused(tmp_path: Path, files: Files, name: str) -> None:
    members, message = ATTACKS[name]
    good = [file_member(file, content) for file, content in files.items()]

    with pytest.raises(CorruptArtifactError, match=message):
        read_artifact(write_archive(tmp_path, good + members))


TAMPERINGS: dict[str, tuple[Callable[[Files], object], str]] = {
    "changed byte": (
        lambda files: files.update({"model.json": files["model.json"].replace(b"0", b"1", 1)}),
        "model.json does not have the digest",
    ),
    "missing file": (lambda files: files.pop("pipeline.skops"), "pipeline.skops is missing"),
    "missing model": (lambda files: files.pop("model.json"), "model.json is missing"),
    "missing manifest": (lambda files: files.pop(MANIFEST), "has no manifest.json"),
    "manifest that is no JSON": (lambda files: files.update({MANIFEST: b"{"}), "not JSON"),
    "extra file": (lambda files: files.update({"x.pkl": b"cos"}), "x.pkl is not named"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
@pytest.mark.parametrize("is_folder", [True, False])
def test_what_was_tampered_with_is_refused(
    tmp_path: Path, files: Files, name: str, *, is_folder: bool
) -> None:
    tamper, message = TAMPERINGS[name]
    tamper(files)
    path = (
        write_folder(tmp_path, files)
        if is_folder
        else write_archive(tmp_path, [file_member(file, content) for file, content in files.items()])
    )

    with pytest.raises(CorruptArtifactError, match=message):
        read_artifact(path)


def test_archives_beside_an_unpacked_model_are_not_read(tmp_path: Path, files: Files) -> None:
    folder = write_folder(tmp_path, files)
    (folder / ARCHIVE).write_bytes(b"junk")
    (folder / "output.tar.gz").write_bytes(b"junk")

    assert read_artifact(folder).manifest.model_version


def test_a_folder_with_a_link_in_it_is_refused(tmp_path: Path, files: Files) -> None:
    content = files.pop("training.json")
    folder = write_folder(tmp_path, files)
    (tmp_path / "outside.json").write_bytes(content)
    (folder / "training.json").symlink_to(tmp_path / "outside.json")

    with pytest.raises(CorruptArtifactError, match="not a regular file"):
        read_artifact(folder)


def test_another_format_version_is_incompatible(tmp_path: Path, files: Files) -> None:
    files[MANIFEST] = json.dumps(json.loads(files[MANIFEST]) | {"format_version": 2}).encode()

    with pytest.raises(IncompatibleArtifactError, match=r"manifest\.json has format version 2"):
        read_artifact(write_folder(tmp_path, files))


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", gzip.compress(b"junk" * 1000), gzip.compress(b"")],
    ids=["empty", "junk", "gzipped junk", "gzipped nothing"],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ARCHIVE).write_bytes(content)

    with pytest.raises(CorruptArtifactError):
        read_artifact(tmp_path / ARCHIVE)


def test_every_truncation_of_an_archive_is_refused(tmp_path: Path, store_path: Path) -> None:
    whole = next(store_path.glob("*/model.tar.gz")).read_bytes()
    path = tmp_path / ARCHIVE
    for length in [*range(0, 2000, 97), *range(2000, len(whole), 4999), *range(len(whole) - 8, len(whole))]:
        path.write_bytes(whole[:length])

        with pytest.raises(CorruptArtifactError, match="damaged or cut short"):
            read_artifact(path)


def test_two_damaged_bytes_anywhere_are_told_as_damage(tmp_path: Path, store_path: Path) -> None:
    """Python's tarfile takes a bad header amid an archive for its end, and the files after it for missing."""
    whole = next(store_path.glob("*/model.tar.gz")).read_bytes()
    path = tmp_path / ARCHIVE
    for offset in [900, *range(_GZIP_HEADER_BYTES, len(whole) - 1, 997)]:
        damaged = bytes(byte ^ 0xA5 for byte in whole[offset : offset + 2])
        path.write_bytes(whole[:offset] + damaged + whole[offset + 2 :])

        with pytest.raises(CorruptArtifactError, match="damaged or cut short"):
            read_artifact(path)


def test_what_follows_the_end_of_an_archive_is_capped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Files
) -> None:
    path = write_archive(tmp_path, [file_member(name, content) for name, content in files.items()])
    unpacked = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(unpacked + bytes(2**20)))
    monkeypatch.setattr(subject, "MAX_ARCHIVE_BYTES", len(unpacked) + 2**19)

    with pytest.raises(CorruptArtifactError, match="unpacks to more than"):
        read_artifact(path)


def test_an_archive_that_unpacks_to_too_much_is_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MAX_ARCHIVE_BYTES", 2**20)
    bomb = write_archive(tmp_path, [file_member(f"file{n}", bytes(2**19)) for n in range(8)])

    with pytest.raises(CorruptArtifactError, match="unpacks to more than"):
        read_artifact(bomb)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_FILE_BYTES", 1000)

    with pytest.raises(CorruptArtifactError, match="more than 1000 bytes"):
        read_artifact(write_archive(tmp_path, [file_member("big", bytes(1001))]))


def test_nothing_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no model artifact at"):
        read_artifact(tmp_path / "absent")
