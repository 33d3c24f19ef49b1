"""Read and write `model.tar.gz`: plain files at its root, and no more of them than memory and time allow.

Whoever made an archive may mean harm. Python's tarfile reads it as a stream and never writes a file; what it
would do at length or with much memory on the way is refused before it does it.
"""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from service.errors import CorruptArtifactError

MAX_FILE_BYTES: Final = 64 * 2**20
MAX_ARCHIVE_BYTES: Final = 256 * 2**20
"""Unpacked. A real artifact has about two megabytes; far more is an attack or a mistake."""
MAX_FILES: Final = 32
"""A real artifact has six."""
MAX_HEADER_BYTES: Final = 64 * 1024
"""Of one extended header, which tarfile takes a quadratic time to read (CVE-2024-6232)."""

_ARCHIVE_ENDING: Final = ".tar.gz"
"""Not read in a folder: the SDK's local mode unpacks model.tar.gz beside itself and output.tar.gz (C100)."""
_FILE_NAME: Final = re.compile(r"(?:\./)?([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_BLOCK_BYTES: Final = 2**16
_PLAIN: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})
_EXTENDED: Final = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_BROKEN: Final = (
    tarfile.TarError,
    zlib.error,
    EOFError,
    gzip.BadGzipFile,
    ValueError,
    OverflowError,
    RecursionError,  # tarfile calls itself for each extended header in a row
)


_LEVEL: Final = 6
"""A report takes half the time of the highest level, and 0.4 % more room."""


def write_archive(files: Mapping[str, bytes]) -> bytes:
    """Return an archive that depends on nothing but names and contents."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=buffer, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()


def read_files(path: Path) -> dict[str, bytes]:
    """Return the files of an archive, or of a folder that one was unpacked into, by name.

    Raises:
        CorruptArtifactError: There is anything but a few plain files, or it is damaged.
        OSError: It cannot be read.
    """
    files: dict[str, bytes] = {}
    for name, content in _read_folder(path) if path.is_dir() else _read_archive(path):
        if name in files:
            raise CorruptArtifactError(f"the artifact holds {name} twice")
        if len(files) == MAX_FILES:
            raise CorruptArtifactError(f"the artifact holds more than {MAX_FILES} files")
        files[name] = content
    return files


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
        """Read what tarfile has left, to the end, where gzip keeps its checksum."""
        while self.read(_BLOCK_BYTES):
            pass


class _Member(tarfile.TarInfo):
    """Refuse a header before tarfile acts on it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as exc:
            if buf.count(0) < len(buf):
                raise ValueError("a damaged header, which tarfile takes for the end") from exc
            raise
        if member.type in _EXTENDED and not 0 <= member.size <= MAX_HEADER_BYTES:
            raise CorruptArtifactError(
                f"the artifact holds a tar header that is not of 0 to {MAX_HEADER_BYTES} bytes"
            )
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise CorruptArtifactError(f"the artifact's {member.name[:80]!a} is a sparse file")
        return member


def _read_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with (
            gzip.open(path) as unpacked,
            tarfile.open(fileobj=(capped := _Capped(unpacked)), mode="r|", tarinfo=_Member) as archive,  # type: ignore[call-overload]  # all that r| needs is read
        ):
            for member in archive:
                if member.isdir() and member.name in {".", "./"}:
                    continue
                name = _checked_name(member.name)
                # Sparse by a pax header: its holes are in no stream, and so under no cap.
                if member.type not in _PLAIN or member.issparse():
                    raise CorruptArtifactError(f"the artifact's {name} is not a regular file")
                _check_size(name, member.size)
                content = archive.extractfile(member)
                yield name, content.read() if content else b""
            has_more = _has_more(archive.fileobj)
            capped.finish()
            if has_more:
                raise CorruptArtifactError("the artifact holds something behind its end")
    except _BROKEN as exc:
        raise CorruptArtifactError(
            f"{path} is not a gzip-compressed tar archive, or is damaged or cut short"
        ) from exc


def _has_more(rest: Any) -> bool:
    """Tell whether there is anything behind an archive's end: other readers may go on there."""
    blocks: Iterator[bytes] = iter(lambda: rest.read(_BLOCK_BYTES), b"")
    return sum(len(block) - block.count(0) for block in blocks) > 0


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
        raise CorruptArtifactError(f"the artifact holds {name[:80]!a}; only plain file names may be in it")
    return match[1]


def _check_size(name: str, size_bytes: int) -> None:
    if not 0 <= size_bytes <= MAX_FILE_BYTES:
        raise CorruptArtifactError(f"the artifact's {name} has more than {MAX_FILE_BYTES} bytes")
