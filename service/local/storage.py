"""Read and write objects: in S3, or a folder of this machine under file:// in its stead."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.local.faults import StorageError
from service.local.shapes import FILE_SCHEME

ARCHIVE_SUFFIX: Final = ".tar.gz"
"""C35: what a model artifact's name ends in."""

_S3_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_MISSING: Final = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Name an object below a prefix."""

    url: str
    relative: str
    """Its path below the prefix's last folder."""


class Storage:
    """Give access to both; clients are made when first needed, and all methods block."""

    def __init__(self, region: str) -> None:
        """Reach S3 in a region, at the endpoint that the environment names."""
        self._region = region
        self._client: Any = None

    def exists(self, url: str) -> bool:
        """Tell whether there is such an object, or a folder of that name."""
        if is_file(url):
            return file_path(url).exists()
        bucket, key = _split(url)
        try:
            self._s3().head_object(Bucket=bucket, Key=key)
        except ClientError as exc:
            if exc.response["Error"]["Code"] in _MISSING:
                return False
            raise _failed(url, exc) from exc
        except BotoCoreError as exc:
            raise _failed(url, exc) from exc
        return True

    def list(self, prefix: str) -> list[StoredObject]:
        """Return the objects whose names begin with a prefix, in the order of their names."""
        if is_file(prefix):
            return list(_files(file_path(prefix)))
        bucket, start = _split(prefix)
        root = start.rpartition("/")[0]
        try:
            pages = self._s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
            keys = sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))
        except (ClientError, BotoCoreError) as exc:
            raise _failed(prefix, exc) from exc
        return [
            StoredObject(f"s3://{bucket}/{key}", key.removeprefix(root).lstrip("/"))
            for key in keys
            if not key.endswith("/")
        ]

    def fetch(self, url: str, target: Path) -> None:
        """Copy an object to a file."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_file(url):
            try:
                shutil.copyfile(file_path(url), target)
            except OSError as exc:
                raise StorageError(f"{url} cannot be read: {exc.strerror}") from exc
            return
        bucket, key = _split(url)
        try:
            self._s3().download_file(bucket, key, str(target))
        except (ClientError, BotoCoreError) as exc:
            raise _failed(url, exc) from exc

    def store(self, source: Path, url: str) -> None:
        """Copy a file to an object."""
        if is_file(url):
            target = file_path(url)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            except OSError as exc:
                raise StorageError(f"{url} cannot be written: {exc.strerror}") from exc
            return
        bucket, key = _split(url)
        try:
            self._s3().upload_file(str(source), bucket, key)
        except (ClientError, BotoCoreError, boto3.exceptions.S3UploadFailedError) as exc:
            raise _failed(url, exc) from exc

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _s3(self) -> Any:
        if self._client is None:
            # A bucket as part of the host's name is for AWS; any other endpoint has it in the path.
            style = "path" if any(os.environ.get(name) for name in _S3_VARIABLES) else "auto"
            config = Config(s3={"addressing_style": style}, connect_timeout=5, read_timeout=60)
            try:
                self._client = boto3.Session().client("s3", region_name=self._region, config=config)
            except BotoCoreError as exc:
                raise StorageError(f"S3 cannot be reached: {exc}") from exc
        return self._client


def is_file(url: str) -> bool:
    """Tell whether a URL means this machine."""
    return url.startswith(FILE_SCHEME)


def file_path(url: str) -> Path:
    """Return the path of a file:// URL."""
    return Path(unquote(urlsplit(url).path))


def join(prefix: str, *names: str) -> str:
    """Return the URL of something below a prefix."""
    return "/".join([prefix.rstrip("/"), *names])


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a gzip tar; links out of the folder, devices and absolute paths are refused.

    Raises:
        StorageError: It is none, or holds what it must not.
    """
    try:
        with tarfile.open(archive, mode="r:gz") as opened:
            opened.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise StorageError(f"it is not a gzip-compressed tar archive that can be unpacked ({exc})") from exc


def pack(folder: Path, archive: Path) -> bool:
    """Pack a folder's content at the archive's root (C78); False, and no archive, when it is empty."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not names:
        return False
    with tarfile.open(archive, mode="w:gz") as opened:
        for name in names:
            opened.add(folder / name, arcname=name)
    return True


def _files(path: Path) -> Iterator[StoredObject]:
    if path.is_file():
        yield StoredObject(f"{FILE_SCHEME}{path}", path.name)
        return
    for found in sorted(path.rglob("*")):
        if found.is_file():
            yield StoredObject(f"{FILE_SCHEME}{found}", str(found.relative_to(path)))


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise StorageError(f"{url} is neither s3://BUCKET/KEY nor file:///PATH")
    return parts.netloc, url.removeprefix(f"s3://{parts.netloc}").lstrip("/")


def _failed(url: str, error: Exception) -> StorageError:
    return StorageError(f"{url}: {error}")
