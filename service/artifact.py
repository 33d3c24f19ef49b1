"""Pack a model artifact so that it can be made again byte for byte, and unpack none that was touched.

`model.tar.gz` holds regular files at its root (C35). `manifest.json` names every file but itself and its
signature, with size and sha256. SageMaker unpacks for us, so a folder is verified like an archive.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from service.archive import MAX_FILE_BYTES, read_files, write_archive
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

SIGNATURE_BYTES: Final = 64
"""Of Ed25519. Source: RFC 8032."""

MAX_PARSED_BYTES: Final = {MANIFEST: 2**18, MODEL: 2**22}
"""What is parsed takes many times its size in memory; real ones have a few kilobytes."""

ENDINGS: Final = (".json", ".html", ".skops")
"""Of the files that training writes. A pickle or a program has no business among them."""

VERSION_PATTERN: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")

_MAX_MESSAGE: Final = 200

Signer = Callable[[bytes], bytes]
"""Returns the signature of a manifest."""


@dataclass(frozen=True)
class FileFacts:
    """Hold what the manifest says of one file."""

    sha256: str
    size: Annotated[int, Meta(ge=0, le=MAX_FILE_BYTES)]


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

    model_version: Annotated[str, Meta(pattern=rf"^{VERSION_PATTERN.pattern}$")]
    created: Annotated[str, Meta(max_length=40)]
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

    @property
    def sealed_files(self) -> dict[str, bytes]:
        """Return every file, what `unseal` takes."""
        files = {**self.files, MANIFEST: self.sealed}
        return files if self.signature is None else {**files, SIGNATURE: self.signature}


def version_id(created: datetime, content_digest: str) -> str:
    """Return the id of a model version, for example 20261123T044500Z-3f2a9c1b."""
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{content_digest[:8]}"


def pack(
    files: Mapping[str, bytes], *, provenance: Provenance, created: datetime, sign: Signer | None = None
) -> tuple[str, bytes]:
    """Return the version id and the bytes of `model.tar.gz`, whose files are those of `seal`."""
    version, sealed = seal(files, provenance=provenance, created=created, sign=sign)
    return version, write_archive(sealed)


def repack(artifact: Artifact, *, signature: bytes) -> bytes:
    """Return the bytes of an artifact's `model.tar.gz` with another signature."""
    return write_archive({**artifact.sealed_files, SIGNATURE: signature})


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
        files = read_files(path)
    except OSError as exc:
        raise CorruptArtifactError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    return unseal(files)


def unseal(sealed_files: Mapping[str, bytes]) -> Artifact:
    """Return the verified artifact of these files, its manifest and signature among them.

    Raises:
        CorruptArtifactError: They are not what training wrote.
        IncompatibleArtifactError: Their format is of another version.
    """
    files = dict(sealed_files)
    sealed, signature = files.pop(MANIFEST, None), files.pop(SIGNATURE, None)
    manifest = _read_manifest(sealed)
    _verify(files, manifest, signature)
    model = SegmentModel.from_json(files[MODEL])
    if not model.is_healthy():
        raise CorruptArtifactError("the model fails its self-test: a golden record gets another segment")
    return Artifact(manifest=manifest, model=model, files=files, sealed=sealed or b"", signature=signature)


def _read_manifest(content: bytes | None) -> Manifest:
    if content is None:
        raise CorruptArtifactError(f"the artifact has no {MANIFEST}: segserve train writes one that has")
    _check_parsed(MANIFEST, content)
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
        manifest = _manifest_decoder().decode(content)
    except (msgspec.ValidationError, msgspec.DecodeError) as exc:
        raise CorruptArtifactError(f"{MANIFEST}: {str(exc)[:_MAX_MESSAGE]}") from None
    for name in document.keys() - {member.name for member in fields(Manifest)}:  # msgspec passes over them
        raise CorruptArtifactError(f"{MANIFEST}: {name[:80]!r} is no member of it")
    return manifest


@cache
def _manifest_decoder() -> msgspec.json.Decoder[Manifest]:
    """Return what reads and validates a manifest."""
    return msgspec.json.Decoder(Manifest)


def _verify(files: Mapping[str, bytes], manifest: Manifest, signature: bytes | None) -> None:
    """Raise CorruptArtifactError unless the files are those of the manifest, byte for byte."""
    if MODEL not in manifest.files:
        raise CorruptArtifactError(f"{MANIFEST} does not name {MODEL}")
    for name in sorted(files.keys() ^ manifest.files.keys()):
        problem = "is missing" if name in manifest.files else f"is not named in {MANIFEST}"
        raise CorruptArtifactError(f"the artifact's {name} {problem}")
    for name, content in files.items():
        if not name.endswith(ENDINGS):
            raise CorruptArtifactError(f"the artifact's {name} is none of the files that training writes")
        if len(content) != manifest.files[name].size:
            raise CorruptArtifactError(f"the artifact's {name} does not have the size given in {MANIFEST}")
        if hashlib.sha256(content).hexdigest() != manifest.files[name].sha256:
            raise CorruptArtifactError(f"the artifact's {name} does not have the digest given in {MANIFEST}")
    if signature is not None and len(signature) != SIGNATURE_BYTES:
        raise CorruptArtifactError(
            f"the artifact's {SIGNATURE} has {len(signature)} bytes; a signature has {SIGNATURE_BYTES}"
        )
    _check_parsed(MODEL, files[MODEL])
    if files.get(TRAINING, b"{")[:1] != b"{":
        raise CorruptArtifactError(f"the artifact's {TRAINING} is not a JSON object")
    if PIPELINE in files:
        check_pipeline(PIPELINE, files[PIPELINE])


def _check_parsed(name: str, content: bytes) -> None:
    if len(content) > MAX_PARSED_BYTES[name]:
        raise CorruptArtifactError(f"the artifact's {name} has more than {MAX_PARSED_BYTES[name]} bytes")
