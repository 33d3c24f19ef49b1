"""Find out the encoding of a text file, by decoding all of it, and its delimiter, from the first records."""

import codecs
import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final

from service.errors import DatasetError

_DELIMITERS: Final = (",", ";", "\t", "|")
_SAMPLE_CHARS: Final = 128 * 1024
"""What the delimiter is sniffed from; no longer than the csv module's longest field."""

_SAMPLE_RECORDS: Final = 50
BLOCK_BYTES: Final = 1 << 20
"""What pyarrow parses at a time; no record can be longer."""

_SENTINEL: Final = "end of file"
_VOID: Final = " \t\r\n,;|"
_DECODED_BYTES: Final = 16 << 20
"""At a time: after every read the interpreter's lock may be another thread's for a while."""

FindEncoding = Callable[[Path], tuple[str, int]]
"""Returns the codec of a text file, and the number of its quotes."""

_FOREIGN: Final = {
    b"PK\x03\x04": "is a zip archive or an Excel workbook; save it as CSV first",
    b"\x1f\x8b": "is compressed; decompress it first",
}


def is_parquet(path: Path) -> bool:
    """Tell whether a file is Parquet, by its first bytes; refuse what is neither that nor text."""
    with path.open("rb") as file:
        start = file.read(4)
    for magic, problem in _FOREIGN.items():
        if start.startswith(magic):
            raise DatasetError(f"{path} {problem}")
    return start == b"PAR1" or (path.suffix.casefold() == ".parquet" and bool(start))


def find_encoding(path: Path) -> tuple[str, int]:
    """Return the codec and the number of quotes; decodes all, for one odd letter may stand at the end."""
    with path.open("rb") as file:
        start = file.read(3)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates: tuple[str, ...] = ("utf-16",)
    elif start == codecs.BOM_UTF8:
        candidates = ("utf-8-sig",)
    else:
        candidates = ("utf-8", "cp1252")
    for encoding in candidates:
        with contextlib.suppress(UnicodeError):
            quotes = _count_quotes(path, encoding=encoding)
            if quotes is not None:
                return encoding, quotes
    raise DatasetError(
        f"{path} is not a text file; accepted are Parquet, and CSV in UTF-8, UTF-16 with a byte-order mark "
        "or Windows-1252"
    )


def _count_quotes(path: Path, *, encoding: str) -> int | None:
    """Decode a file; None where it holds a NUL."""
    quotes = 0
    decoder = codecs.getincrementaldecoder(encoding)()
    buffer = bytearray(_DECODED_BYTES)
    with path.open("rb") as file:
        while size := file.readinto(buffer):
            chunk = buffer if size == len(buffer) else buffer[:size]
            # What is ASCII need not be decoded; a character that it cuts short is refused in the end.
            is_plain = encoding == "utf-8" and chunk.isascii()
            if b"\0" in chunk and encoding != "utf-16":
                return None
            text = "" if is_plain else decoder.decode(chunk)
            if "\0" in text:
                return None
            # To look for the first takes a fraction of the time.
            quotes += chunk.count(b'"') if is_plain and b'"' in chunk else text.count('"')
        decoder.decode(b"", final=True)
    return quotes


def sniff(path: Path, *, encoding: str) -> tuple[str, tuple[str, ...], int]:
    """Return the delimiter that divides most of the first records like the header, the header, its number."""
    with path.open(encoding=encoding, newline="") as file:
        sample = file.read(_SAMPLE_CHARS)
        is_whole = not file.read(1)
    scored: list[tuple[float, int, tuple[str, tuple[str, ...], int]]] = []
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        numbered = enumerate(islice(reader, None if is_whole else _SAMPLE_RECORDS), start=1)
        records = [(number, row) for number, row in numbered if any(field.strip(_VOID) for field in row)]
        if not records:
            continue
        header_records, header = records[0]
        if is_whole and len(records) == 1:
            raise DatasetError(f"{path} has a header but no records")
        widths = [len(row) for _, row in records[1:_SAMPLE_RECORDS]]
        share = widths.count(len(header)) / max(len(widths), 1) if len(header) > 1 else -1.0
        scored.append((share, len(header), (delimiter, tuple(header), header_records)))
    if not scored:
        raise DatasetError(f"{path} is empty")
    return max(scored, key=lambda candidate: candidate[:2])[2]  # the first of equals


def refuse_open_quote(path: Path, *, encoding: str, delimiter: str) -> None:
    """Refuse a quote that swallows the rest of the file, which pyarrow reads as one long field."""
    line, row = 1, [_SENTINEL]
    with path.open(encoding=encoding, newline="") as file, long_fields(), contextlib.suppress(csv.Error):
        for line, row in locate(chain(file, [_SENTINEL]), delimiter=delimiter):  # noqa: B007
            pass
    if row != [_SENTINEL]:
        raise DatasetError(f"{path} has a quote in the record of line {line} that is never closed")


def locate(lines: Iterable[str], *, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Divide lines into records as pyarrow does, each with the line on which it starts."""
    reader = csv.reader(lines, delimiter=delimiter)
    line = 1
    for row in reader:
        yield line, row
        line = reader.line_num + 1


@contextlib.contextmanager
def long_fields() -> Iterator[None]:
    """Let the csv module take fields as long as pyarrow's."""
    limit = csv.field_size_limit(BLOCK_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
