"""Read and write the payloads of asynchronous invocations: in a local folder, or in S3.

S3 is spoken to by botocore, of the extra `aws`, which is imported when the first s3:// location is used.
"""

import contextlib
import importlib
import importlib.util
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from service.errors import ConfigurationError, PayloadTooLargeError, ServiceError

_CONNECT_TIMEOUT_S: Final = 5
_READ_TIMEOUT_S: Final = 60


class LocationError(ServiceError):
    """Raised when a location cannot be read or written."""


class Place(Protocol):
    """Where outputs go."""

    def locate(self, key: str) -> str:
        """Return the URI of a key."""
        ...

    def write(self, key: str, content: bytes, *, content_type: str) -> None:
        """Write an output; whoever sees it sees all of it."""
        ...


class FolderPlace:
    """Keep outputs in a folder."""

    def __init__(self, folder: Path) -> None:
        """Make no folder before there is something to keep."""
        self._folder = folder.absolute()

    def locate(self, key: str) -> str:
        """Return the URI of a key."""
        return (self._folder / key).as_uri()

    def write(self, key: str, content: bytes, *, content_type: str) -> None:  # noqa: ARG002  # files have none
        """Write an output under a temporary name first."""
        path = self._folder / key
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
            part.write_bytes(content)
            part.replace(path)
        except OSError as exc:
            raise LocationError(f"{path} cannot be written: {exc.strerror or exc}") from exc


class S3Place:
    """Keep outputs below an s3:// prefix."""

    def __init__(self, uri: str, s3: "S3") -> None:
        """Take the prefix."""
        self._uri = uri.rstrip("/")
        self._s3 = s3

    def locate(self, key: str) -> str:
        """Return the URI of a key."""
        return f"{self._uri}/{key}"

    def write(self, key: str, content: bytes, *, content_type: str) -> None:
        """Write an object."""
        self._s3.write(self.locate(key), content, content_type=content_type)


class S3:
    """Speak to S3, or to what stands for it at a URL."""

    def __init__(self, endpoint: str | None) -> None:
        """Connect later: most servers never do."""
        self.endpoint = endpoint.rstrip("/") if endpoint else None
        self._made: Any = None
        self._lock = Lock()

    def check(self) -> None:
        """Raise ConfigurationError unless S3 can be spoken to."""
        if importlib.util.find_spec("botocore") is None:
            raise ConfigurationError(
                "s3:// locations need the extra 'aws': pip install 'segserve[aws]', or use file:// locations"
            )

    def read(self, uri: str, *, max_bytes: int | None) -> bytes:
        """Return an object; raise LocationError or PayloadTooLargeError."""
        bucket, key = self._split(uri)
        with self._explained(uri):
            answer = self._client().get_object(Bucket=bucket, Key=key)
            if max_bytes is not None and answer["ContentLength"] > max_bytes:
                answer["Body"].close()
                raise PayloadTooLargeError.over(max_bytes)
            content: bytes = answer["Body"].read()
            return content

    def write(self, uri: str, content: bytes, *, content_type: str) -> None:
        """Write an object; raise LocationError."""
        bucket, key = self._split(uri)
        with self._explained(uri):
            self._client().put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type)

    def _split(self, uri: str) -> tuple[str, str]:
        """Return bucket and key of s3://BUCKET/KEY, or of ENDPOINT/BUCKET/KEY."""
        path = uri.removeprefix("s3://")
        if self.endpoint and uri.startswith(f"{self.endpoint}/"):
            path = unquote(urlsplit(uri).path.lstrip("/"))
        bucket, _, key = path.partition("/")
        return bucket, key

    def _client(self) -> Any:
        with self._lock:  # botocore's clients may be shared by threads, but not made by several at once
            if self._made is None:
                self.check()
                session = importlib.import_module("botocore.session").get_session()
                config = importlib.import_module("botocore.config").Config(
                    connect_timeout=_CONNECT_TIMEOUT_S,
                    read_timeout=_READ_TIMEOUT_S,
                    s3={"addressing_style": "path"} if self.endpoint else None,
                )
                region = session.get_config_variable("region") or "us-east-1"
                self._made = session.create_client(
                    "s3", endpoint_url=self.endpoint, region_name=region, config=config
                )
            return self._made

    @contextlib.contextmanager
    def _explained(self, uri: str) -> Iterator[None]:
        exceptions = importlib.import_module("botocore.exceptions")
        try:
            yield
        except (exceptions.ClientError, exceptions.BotoCoreError) as exc:
            raise LocationError(f"{uri}: {exc}") from exc


def make_place(uri: str | None, s3: S3) -> Place:
    """Return where outputs go: a folder by its path or file:// URI, or an s3:// prefix."""
    if uri is None:
        return FolderPlace(Path(tempfile.gettempdir()) / f"segserve-async-{os.getuid()}")
    if uri.startswith("s3://"):
        s3.check()
        return S3Place(uri, s3)
    return FolderPlace(Path(_path_of(uri)) if uri.startswith("file://") else Path(uri))


def input_path(uri: str, *, folder: Path | None) -> Path:
    """Return the file of a file:// URI; raise LocationError unless it lies below the folder of inputs."""
    if folder is None:
        raise LocationError("file:// inputs are read only below the folder that SERVICE_ASYNC_INPUT names")
    path = Path(os.path.realpath(_path_of(uri)))
    if not path.is_relative_to(folder.resolve()):
        raise LocationError("the input does not lie below the folder that SERVICE_ASYNC_INPUT names")
    return path


def read_file(path: Path, *, max_bytes: int | None) -> bytes:
    """Return a file; raise LocationError or PayloadTooLargeError."""
    try:
        if max_bytes is not None and path.stat().st_size > max_bytes:
            raise PayloadTooLargeError.over(max_bytes)
        return path.read_bytes()
    except OSError as exc:
        raise LocationError(f"{path.name} cannot be read: {exc.strerror or exc}") from exc


def _path_of(uri: str) -> str:
    path = unquote(urlsplit(uri).path)
    return path or "/"
