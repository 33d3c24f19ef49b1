"""Pack a model artifact so that it can be made again byte for byte, and unpack none that was touched.

`model.tar.gz` holds regular files at its root (C35). `manifest.json` names every file but itself and its
signature, with size and sha256. SageMaker unpacks for us, so a folder is verified like an archive.
"""

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from service.errors import CorruptArtifactError, IncompatibleArtifactError, ModelNotFoundError
from service.model import SegmentModel
from service.pipeline import check_pipeline

ARCHIVE: Final = "model.tar.gz"
MANIFEST: Final = "manifest.json"
MODEL: Final = "model.json"
TRAINING: Final = "training.json"
PIPELINE: Final = "pipeline.skops"
REPORT: Final = "report.html"
SIGNATURE: Final = "manifest.sig"

FORMAT_VERSION: Final = 1
"""Raised whenever an older reader would misunderstand a newer manifest.json."""

MAX_FILE_BYTES: Final = 64 * 2**20
MAX_ARCHIVE_BYTES: Final = 256 * 2**20
"""Unpacked. A real artifact has well under a megabyte; more is an attack or a mistake."""

SIGNATURE_BYTES: Final = 64
"""Of Ed25519. Source: RFC 8032."""

VERSION_PATTERN: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")

Signer = Callable[[bytes], bytes]
"""Returns the signature of a manifest."""

_ARCHIVE_ENDING: Final = ".tar.gz"
"""Not read in a folder: the SDK's local mode unpacks model.tar.gz beside itself and output.tar.gz (C100)."""
_FILE_NAME: Final = re.compile(r"(?:\./)?([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_BLOCK_BYTES: Final = 2**16
_BROKEN: Final = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, OverflowError)


@dataclass(frozen=True)
class FileFacts:
    """Hold what the manifest says of one file."""

    sha256: str
    size: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]


@dataclass(frozen=True)
class Provenance:
    """Hold where a model comes from; none of it is in model.json."""

    python: str
    libraries: Mapping[str, str]
    git_revision: str | None
    data_digest: str
    """sha256 of the records that were fitted, whatever their order and the file's dialect."""


@dataclass(frozen=True)
class Manifest:
    """Hold the table of contents of an artifact; `manifest.json` is this class, field by field."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    model_version: Annotated[str, Field(pattern=rf"^{VERSION_PATTERN.pattern}$")]
    created: Annotated[str, Field(max_length=40)]
    """ISO 8601, UTC."""
    files: Mapping[str, FileFacts]
    provenance: Provenance
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class Artifact:
    """Hold a verified artifact."""

    manifest: Manifest
    model: SegmentModel
    files: Mapping[str, bytes]
    """Every file but the manifest and its signature, by name."""
    sealed: bytes
    """`manifest.json` as it is: what is signed."""
    signature: bytes | None = None


def version_id(created: datetime, content_digest: str) -> str:
    """Return the id of a model version, for example 20261123T044500Z-3f2a9c1b."""
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{content_digest[:8]}"


def pack(
    files: Mapping[str, bytes], *, provenance: Provenance, created: datetime, sign: Signer | None = None
) -> tuple[str, bytes]:
    """Return the version id and the bytes of `model.tar.gz`, whose files are those of `seal`."""
    version, sealed = seal(files, provenance=provenance, created=created, sign=sign)
    return version, _tar_gz(sealed)


def repack(artifact: Artifact, *, signature: bytes) -> bytes:
    """Return the bytes of an artifact's `model.tar.gz` with another signature."""
    return _tar_gz({**artifact.files, MANIFEST: artifact.sealed, SIGNATURE: signature})


def seal(
    files: Mapping[str, bytes], *, provenance: Provenance, created: datetime, sign: Signer | None = None
) -> tuple[str, dict[str, bytes]]:
    """Return the version id, and the files with their manifest as the last one.

    Args:
        files: Content by name, without the manifest.
        provenance: Goes into the manifest.
        created: Goes into the manifest and, to the microsecond, into the version id.
        sign: Makes the signature that stands beside the manifest.
    """
    facts = {
        name: FileFacts(hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()
    }
    stamp = created.astimezone(UTC).isoformat(timespec="microseconds")
    digests = json.dumps([stamp, {name: fact.sha256 for name, fact in facts.items()}], sort_keys=True)
    version = version_id(created, hashlib.sha256(digests.encode()).hexdigest())
    manifest = Manifest(model_version=version, created=stamp, files=facts, provenance=provenance)
    text = f"{json.dumps(asdict(manifest), indent=1, sort_keys=True)}\n".encode()
    return version, {**files, **({SIGNATURE: sign(text)} if sign else {}), MANIFEST: text}


def read_artifact(path: Path) -> Artifact:
    """Read and verify an artifact.

    Args:
        path: A `model.tar.gz`, or a folder that one was unpacked into.

    Raises:
        ModelNotFoundError: There is nothing at `path`.
        CorruptArtifactError: It is not what training wrote.
        IncompatibleArtifactError: Its format is of another version.
    """
    if not path.exists():
        raise ModelNotFoundError(f"there is no model artifact at {path}")
    try:
        members = _read_folder(path) if path.is_dir() else _read_archive(path)
        files = dict(_refuse_duplicates(members))
    except OSError as exc:
        raise CorruptArtifactError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    sealed, signature = files.pop(MANIFEST, None), files.pop(SIGNATURE, None)
    manifest = _read_manifest(sealed)
    _verify(files, manifest, signature)
    model = SegmentModel.from_json(files[MODEL])
    if not model.is_healthy():
        raise CorruptArtifactError("the model fails its self-test: a golden record gets another segment")
    return Artifact(manifest=manifest, model=model, files=files, sealed=sealed or b"", signature=signature)


def _tar_gz(files: Mapping[str, bytes]) -> bytes:
    """Return an archive that depends on nothing but names and contents."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()


class _Capped:
    """Pass on a stream's bytes until there are too many: a small archive can unpack to terabytes."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MAX_ARCHIVE_BYTES

    def read(self, size: int = -1, /) -> bytes:
        content = self._stream.read(size if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise CorruptArtifactError(f"the artifact unpacks to more than {MAX_ARCHIVE_BYTES} bytes")
        return content

    def finish(self) -> None:
        """Read to the end, where gzip keeps its checksum."""
        while self.read(_BLOCK_BYTES):
            pass


def _read_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with (
            gzip.open(path) as unpacked,
            tarfile.open(fileobj=(capped := _Capped(unpacked)), mode="r|") as archive,  # type: ignore[call-overload]  # all that r| needs is read
        ):
            for member in archive:
                if member.isdir() and member.name in {".", "./"}:
                    continue
                name = _checked_name(member.name)
                if not member.isreg():
                    raise CorruptArtifactError(f"the artifact's {name} is not a regular file")
                _check_size(name, member.size)
                content = archive.extractfile(member)
                yield name, content.read() if content else b""
            capped.finish()  # tarfile takes a damaged header for the end of the archive
    except _BROKEN as exc:
        raise CorruptArtifactError(
            f"{path} is not a gzip-compressed tar archive, or is damaged or cut short"
        ) from exc


def _read_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(path.iterdir()):
        if entry.name.endswith(_ARCHIVE_ENDING):
            continue
        name = _checked_name(entry.name)
        if entry.is_symlink() or not entry.is_file():
            raise CorruptArtifactError(f"the artifact's {name} is not a regular file")
        _check_size(name, entry.stat().st_size)
        yield name, entry.read_bytes()


def _checked_name(name: str) -> str:
    match = _FILE_NAME.fullmatch(name)
    if not match:
        raise CorruptArtifactError(f"the artifact holds {name[:80]!r}; only plain file names may be in it")
    return match[1]


def _check_size(name: str, size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise CorruptArtifactError(f"the artifact's {name} has more than {MAX_FILE_BYTES} bytes")


def _refuse_duplicates(members: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    seen = set()
    for name, content in members:
        if name in seen:
            raise CorruptArtifactError(f"the artifact holds {name} twice")
        seen.add(name)
        yield name, content


def _read_manifest(content: bytes | None) -> Manifest:
    if content is None:
        raise CorruptArtifactError(f"the artifact has no {MANIFEST}: segserve train writes one that has")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise CorruptArtifactError(f"{MANIFEST} is not JSON") from exc
    found = document.get("format_version") if isinstance(document, dict) else None
    if found != FORMAT_VERSION:
        raise IncompatibleArtifactError(
            f"{MANIFEST} has format version {found!r:.20}; this segserve reads version {FORMAT_VERSION}"
        )
    try:
        return _manifest_adapter().validate_json(content)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorruptArtifactError(f"{MANIFEST}: {where}: {first['msg']}") from None


@cache
def _manifest_adapter() -> TypeAdapter[Manifest]:
    """Return what validates a manifest; making it takes far longer than validating."""
    return TypeAdapter(Manifest)


def _verify(files: Mapping[str, bytes], manifest: Manifest, signature: bytes | None) -> None:
    """Raise CorruptArtifactError unless the files are those of the manifest, byte for byte."""
    if MODEL not in manifest.files:
        raise CorruptArtifactError(f"{MANIFEST} does not name {MODEL}")
    for name in sorted(files.keys() ^ manifest.files.keys()):
        problem = "is missing" if name in manifest.files else f"is not named in {MANIFEST}"
        raise CorruptArtifactError(f"the artifact's {name} {problem}")
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name].sha256:
            raise CorruptArtifactError(f"the artifact's {name} does not have the digest given in {MANIFEST}")
    if signature is not None and len(signature) != SIGNATURE_BYTES:
        raise CorruptArtifactError(
            f"the artifact's {SIGNATURE} has {len(signature)} bytes; a signature has {SIGNATURE_BYTES}"
        )
    if PIPELINE in files:
        check_pipeline(PIPELINE, files[PIPELINE])
