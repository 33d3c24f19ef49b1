"""S3 and files of this machine are one to whoever reads and writes objects."""

import tarfile
from pathlib import Path
from typing import Any

import pytest

from service.local.faults import StorageError
from service.local.storage import Storage, pack, unpack


@pytest.fixture(name="storage")
def _storage(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    storage = Storage("us-east-1")
    yield storage
    storage.close()


@pytest.fixture(name="prefix", params=["s3", "file"])
def _prefix(request: pytest.FixtureRequest, s3: Any, tmp_path: Path, name: str) -> str:
    assert s3 is not None
    return f"s3://bucket/{name}" if request.param == "s3" else f"file://{tmp_path}/store"


def test_what_was_stored_is_listed_and_fetched(storage: Storage, prefix: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    for name in ("a/one", "a/deep/two", "b"):
        storage.store(source, f"{prefix}/{name}")
    storage.fetch(f"{prefix}/a/deep/two", tmp_path / "fetched" / "two")

    assert [entry.relative for entry in storage.list(f"{prefix}/a/")] == ["deep/two", "one"]
    assert [entry.relative for entry in storage.list(f"{prefix}/b")] == ["b"]
    assert (tmp_path / "fetched" / "two").read_bytes() == b"content"
    assert storage.exists(f"{prefix}/a/one")
    assert not storage.exists(f"{prefix}/a/none")
    with pytest.raises(StorageError, match="none"):
        storage.fetch(f"{prefix}/a/none", tmp_path / "x")


def test_another_scheme_is_refused(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="neither s3://BUCKET/KEY nor file:///PATH"):
        storage.fetch("https://example.com/x", tmp_path / "x")


def test_pack_puts_files_at_the_root(tmp_path: Path) -> None:
    folder, target = tmp_path / "model", tmp_path / "out"
    folder.mkdir()
    assert pack(folder, tmp_path / "none.tar.gz") is False
    (folder / "model.json").write_text("{}")

    assert pack(folder, tmp_path / "model.tar.gz")
    unpack(tmp_path / "model.tar.gz", target)

    assert [path.name for path in target.iterdir()] == ["model.json"]


def test_an_archive_cannot_write_outside(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "evil", arcname="../escaped")

    with pytest.raises(StorageError, match="it is not a gzip-compressed tar archive that can be unpacked"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")
    assert not (tmp_path / "escaped").exists()
