"""Turn a container image into what SageMaker takes: linux/amd64, as Docker schema 2 (C115, C116)."""

import gzip
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final

from service.errors import ConfigurationError

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_GZIP_LAYERS: Final = frozenset({"application/vnd.oci.image.layer.v1.tar+gzip", _DOCKER_LAYER})
_PLAIN_LAYERS: Final = frozenset(
    {"application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"}
)
_ARCHITECTURE: Final = "amd64"
_SYSTEM: Final = "linux"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_CHUNK_BYTES: Final = 2**20
_VERSION_LABEL: Final = "org.opencontainers.image.version"
_REVISION_LABEL: Final = "org.opencontainers.image.revision"


@dataclass(frozen=True, slots=True)
class Blob:
    """Hold one file of an image: its configuration or a layer."""

    path: Path
    digest: str
    size_bytes: int
    media_type: str

    def descriptor(self) -> dict[str, Any]:
        """Return how the manifest names it."""
        return {"mediaType": self.media_type, "size": self.size_bytes, "digest": self.digest}


@dataclass(frozen=True)
class Image:
    """Hold an image as Docker schema 2."""

    config: Blob
    layers: tuple[Blob, ...]

    @cached_property
    def manifest(self) -> bytes:
        """Return the manifest."""
        document = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": self.config.descriptor(),
            "layers": [layer.descriptor() for layer in self.layers],
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """Return the image's digest."""
        return _sha256(self.manifest)

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Return the labels that it was built with."""
        document = json.loads(self.config.path.read_bytes())
        labels: Mapping[str, str] = (document.get("config") or {}).get("Labels") or {}
        return labels

    @property
    def version(self) -> str | None:
        """Return the version that its label names."""
        return self.labels.get(_VERSION_LABEL) or None

    @property
    def revision(self) -> str | None:
        """Return the git revision that its label names."""
        revision = self.labels.get(_REVISION_LABEL)
        return None if revision in {None, "", "unknown"} else revision


@contextmanager
def opened(name: str) -> Iterator[Image]:
    """Read an image; its files are there as long as the block runs.

    Args:
        name: A folder with an OCI layout, a tar of one or of `docker save`, or an image of the Docker engine.

    Raises:
        ConfigurationError: It is none of these, or not for SageMaker's machines.
    """
    path = Path(name)
    with tempfile.TemporaryDirectory(prefix="segserve-image-") as scratch:
        folder = Path(scratch)
        if path.is_dir():
            yield _read(path, folder)
            return
        unpacked = folder / "unpacked"
        if path.is_file():
            _unpack(path, unpacked)
        else:
            _save(name, folder / "image.tar")
            _unpack(folder / "image.tar", unpacked)
            (folder / "image.tar").unlink()
        yield _read(unpacked, folder)


def _save(name: str, target: Path) -> None:
    """Have the Docker engine write an image into a file."""
    from docker.client import DockerClient  # noqa: PLC0415  # takes a while, and only this way needs it
    from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415

    try:
        client = DockerClient.from_env()
    except DockerException:
        raise ConfigurationError(
            f"there is no file or folder {name!r}, and no Docker engine answers that could have such an "
            "image: start one, or "
            "give the archive of 'docker save' or of 'docker buildx build --output type=oci,dest=image.tar'"
        ) from None
    try:
        chunks = client.images.get(name).save(named=True)
        with target.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
    except ImageNotFound:
        raise ConfigurationError(
            f"the Docker engine has no image {name!r}: build it with 'docker build -t {name} .'"
        ) from None
    except DockerException as exc:
        raise ConfigurationError(
            f"the Docker engine cannot give the image {name!r}: {' '.join(str(exc).split())[:200]}"
        ) from None
    finally:
        client.close()


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        # tarfile lists one line for each compression that it has tried.
        reason = "it is no tar archive" if "\n" in str(exc) else exc
        raise ConfigurationError(
            f"{archive} is not an archive of an image ({reason}): give what 'docker save' or 'docker buildx "
            "build --output type=oci,dest=image.tar' writes"
        ) from None


def _read(folder: Path, scratch: Path) -> Image:
    """Read an OCI layout or an unpacked `docker save`."""
    try:
        if (folder / "index.json").is_file():
            return _read_layout(folder, scratch)
        if (folder / "manifest.json").is_file():
            return _read_saved(folder, scratch)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ConfigurationError(
            f"{folder.name} holds an image that cannot be read: {type(exc).__name__} {exc}"
        ) from None
    raise ConfigurationError(f"{folder} holds no image: neither index.json nor manifest.json is in it")


def _read_layout(folder: Path, scratch: Path) -> Image:
    node = json.loads((folder / "index.json").read_bytes())
    while "manifests" in node:
        node = json.loads(_blob_path(folder, _choose(node["manifests"])["digest"]).read_bytes())
    config = _blob_path(folder, node["config"]["digest"])
    _check_platform(json.loads(config.read_bytes()))
    layers = []
    for layer in node["layers"]:
        media_type, path = layer["mediaType"], _blob_path(folder, layer["digest"])
        if media_type not in _GZIP_LAYERS | _PLAIN_LAYERS:
            raise ConfigurationError(
                f"the image has a layer of type {media_type}, which has no Docker schema 2 form: build it "
                "with compression=gzip"
            )
        layers.append(_layer(path, scratch))
    return Image(_blob(config, _DOCKER_CONFIG), tuple(layers))


def _choose(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the image for SageMaker's machines; attestations beside it stay behind."""
    images = [
        item
        for item in manifests
        if item.get("annotations", {}).get("vnd.docker.reference.type") != "attestation-manifest"
    ]
    fitting = [item for item in images if _platform(item) in {None, (_SYSTEM, _ARCHITECTURE)}]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join("/".join(platform) for item in images if (platform := _platform(item))) or "none"
    if fitting:
        raise ConfigurationError(
            f"the archive holds {len(fitting)} images, and one is wanted: save one at a time"
        )
    raise ConfigurationError(_wrong_platform(found))


def _platform(item: Mapping[str, Any]) -> tuple[str, str] | None:
    platform = item.get("platform")
    return (platform.get("os", _SYSTEM), platform["architecture"]) if platform else None


def _read_saved(folder: Path, scratch: Path) -> Image:
    """Read what `docker save` wrote before it wrote OCI layouts: layers are plain tars."""
    manifests = json.loads((folder / "manifest.json").read_bytes())
    if len(manifests) != 1:
        raise ConfigurationError(
            f"the archive holds {len(manifests)} images, and one is wanted: save one at a time"
        )
    config = _inside(folder, manifests[0]["Config"])
    _check_platform(json.loads(config.read_bytes()))
    layers = [_layer(_inside(folder, name), scratch) for name in manifests[0]["Layers"]]
    return Image(_blob(config, _DOCKER_CONFIG), tuple(layers))


def _check_platform(config: Mapping[str, Any]) -> None:
    found = (config.get("os", _SYSTEM), config.get("architecture", _ARCHITECTURE))
    if found != (_SYSTEM, _ARCHITECTURE):
        raise ConfigurationError(_wrong_platform("/".join(found)))


def _wrong_platform(found: str) -> str:
    return (
        f"the image is for {found}, and SageMaker's machines are {_SYSTEM}/{_ARCHITECTURE}: "
        f"build it with 'docker build --platform {_SYSTEM}/{_ARCHITECTURE}'"
    )


def _layer(path: Path, scratch: Path) -> Blob:
    """Return a layer compressed: as it is, or made so, the same bytes each time."""
    with path.open("rb") as file:
        is_compressed = file.read(2) == _GZIP_MAGIC
        if is_compressed:
            return _blob(path, _DOCKER_LAYER)
        file.seek(0)
        target = Path(tempfile.mkstemp(dir=scratch, suffix=".tar.gz")[1])
        with (
            target.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as out,
        ):
            shutil.copyfileobj(file, out, _CHUNK_BYTES)
    return _blob(target, _DOCKER_LAYER)


def _blob(path: Path, media_type: str) -> Blob:
    with path.open("rb") as file:
        return Blob(path, _digest_of(file), path.stat().st_size, media_type)


def _digest_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob_path(folder: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    return _inside(folder, f"blobs/{algorithm}/{value}")


def _inside(folder: Path, name: str) -> Path:
    """Return a file of the image; one outside its folder is refused."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ConfigurationError(f"the image names a file outside itself: {name[:80]!r}")
    return path
