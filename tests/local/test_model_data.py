"""Model data lies where the container looks for it, wherever it came from."""

import tarfile
from pathlib import Path
from typing import Any

import pytest

from service.local.faults import ApiError, LaunchError
from service.local.model_data import check_model_data, lay_out
from service.local.storage import Storage


@pytest.fixture(name="storage")
def _storage(s3: Any, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    assert s3 is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    storage = Storage("us-east-1")
    yield storage
    storage.close()


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    """Return a folder with an unpacked model and, beside it, the same packed."""
    folder = tmp_path / "source"
    (folder / "code").mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    (folder / "code" / "note").write_text("x")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=".")
    return folder


def found(tree: Path) -> list[str]:
    model = tree / "model"
    return sorted(str(path.relative_to(model)) for path in model.rglob("*") if path.is_file())


@pytest.mark.parametrize("form", ["file", "folder", "s3", "s3 prefix", "s3 gzip"])
def test_data_is_laid_out(
    form: str, storage: Storage, s3: Any, source: Path, tmp_path: Path, name: str
) -> None:
    packed = source.parent / "model.tar.gz"
    s3.upload_file(str(packed), "bucket", f"{name}/model.tar.gz")
    for path in ("model.json", "code/note"):
        s3.upload_file(str(source / path), "bucket", f"{name}/plain/{path}")

    def from_s3(url: str, compression: str) -> dict[str, Any]:
        described = {"S3Uri": url, "S3DataType": "S3Prefix", "CompressionType": compression}
        return {"ModelDataSource": {"S3DataSource": described}}

    container: dict[str, Any] = {
        "file": {"ModelDataUrl": f"file://{packed}"},
        "folder": {"ModelDataUrl": f"file://{source}"},
        "s3": {"ModelDataUrl": f"s3://bucket/{name}/model.tar.gz"},
        "s3 prefix": from_s3(f"s3://bucket/{name}/plain/", "None"),
        "s3 gzip": from_s3(f"s3://bucket/{name}/model.tar.gz", "Gzip"),
    }[form]
    check_model_data(container, storage)
    lay_out(container, tmp_path / "tree", storage)

    assert found(tmp_path / "tree") == ["code/note", "model.json"]


def test_a_model_without_data_has_an_empty_folder(storage: Storage, tmp_path: Path) -> None:
    check_model_data({"Image": "x"}, storage)
    lay_out({"Image": "x"}, tmp_path, storage)

    assert found(tmp_path) == []
    assert (tmp_path / "model").is_dir()


def test_what_is_no_archive_is_named(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_text("no archive")

    with pytest.raises(LaunchError, match=r"Failed to download model data for container .* is not a gzip"):
        lay_out({"ModelDataUrl": f"file://{tmp_path}/model.tar.gz"}, tmp_path / "tree", storage)


@pytest.mark.parametrize("url", ["file:///nowhere/model.tar.gz", "s3://bucket/nowhere/model.tar.gz"])
def test_data_that_is_not_there_is_refused(url: str, storage: Storage) -> None:
    with pytest.raises(ApiError, match="Could not find model data at"):
        check_model_data({"ModelDataUrl": url}, storage)
