"""Bring a model's data to where the container finds it: unpacked, in the tree's model folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from service.contract import MODEL_DIR
from service.local.faults import ApiError, LaunchError, StorageError, not_emulated
from service.local.storage import ARCHIVE_SUFFIX, Storage, file_path, is_file, unpack

_CREATE: Final = "CreateModel"


def find_container(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one container of a CreateModel request.

    Raises:
        ApiError: There is none, or it is more than this service can run.
    """
    containers = request.get("Containers") or []
    if len(containers) > 1:
        raise not_emulated("an inference pipeline of several Containers", _CREATE)
    container: dict[str, Any] | None = request.get("PrimaryContainer") or (
        containers[0] if containers else None
    )
    if container is None:
        raise ApiError("CreateModel needs a PrimaryContainer or Containers")
    for member in ("ModelPackageName", "MultiModelConfig", "AdditionalModelDataSources"):
        if container.get(member):
            raise not_emulated(member, _CREATE)
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise not_emulated(f"Mode {container['Mode']}", _CREATE)
    if not container.get("Image"):
        raise ApiError("the container needs an Image")
    return container


def check_model_data(container: Mapping[str, Any], storage: Storage) -> None:
    """Refuse data that is not there, as CreateModel does on AWS; blocks."""
    url, is_archive = _source(container)
    if url is None:
        return
    if is_archive and not url.endswith(ARCHIVE_SUFFIX) and not (is_file(url) and file_path(url).is_dir()):
        raise ApiError(
            f"Invalid model data URL {url}: it must be one gzip-compressed tar archive whose name ends in "
            f"{ARCHIVE_SUFFIX}, or a folder under file://"
        )
    try:
        is_there = storage.exists(url) if is_archive else bool(storage.list(url))
    except StorageError as exc:
        raise ApiError(f"Could not access model data at {url}: {exc}") from exc
    if not is_there:
        raise ApiError(f"Could not find model data at {url}.")


def lay_out(container: Mapping[str, Any], tree: Path, storage: Storage) -> None:
    """Fetch and unpack the data below a tree; blocks.

    Raises:
        LaunchError: It cannot be fetched or unpacked.
    """
    folder = tree / MODEL_DIR
    folder.mkdir(parents=True, exist_ok=True)
    url, is_archive = _source(container)
    if url is None:
        return
    try:
        if is_archive and is_file(url) and file_path(url).is_dir():
            _copy_all(url, folder, storage)
        elif is_archive:
            archive = tree / f"fetched{ARCHIVE_SUFFIX}"
            storage.fetch(url, archive)
            unpack(archive, folder)
            archive.unlink()
        else:
            _copy_all(url, folder, storage)
    except (StorageError, OSError) as exc:
        raise LaunchError(
            f'Failed to download model data for container "primary" from URL: "{url}": {exc}'
        ) from exc


def _source(container: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return where the data is, and whether it is an archive."""
    described = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if described is None:
        return container.get("ModelDataUrl") or None, True
    return described["S3Uri"], described.get("CompressionType", "None") == "Gzip"


def _copy_all(url: str, folder: Path, storage: Storage) -> None:
    if is_file(url):
        shutil.copytree(file_path(url), folder, dirs_exist_ok=True)
        return
    for found in storage.list(url):
        target = (folder / found.relative).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise StorageError(f"the object {found.relative!r} would leave the model's folder")
        storage.fetch(found.url, target)
