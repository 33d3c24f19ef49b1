"""Put the text of many rejects together at once: what a csv writer would write of one after another."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from service.training.cells import Integers

_NEEDS_QUOTES: Final = '[",\r\n]'


@dataclass(frozen=True, slots=True)
class Found:
    """Say which records could not be used, and why."""

    lines: Integers
    """In which they start, from 1, in ascending order; in Parquet, the numbers of the rows."""
    places: Integers
    """What is wrong with each: a place in `problems`."""
    problems: Sequence[tuple[str, str]]
    """Columns and reasons."""


class Waiting:
    """Hold the text of rejects until it is their turn, in ascending order of their lines."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lines: list[Integers] = []
        self._texts: list[pa.StringArray] = []

    def add(self, lines: Integers, texts: pa.StringArray) -> None:
        """Add rejects that come after all others."""
        self._lines.append(lines)
        self._texts.append(texts)

    def take(self, last: int | None, others: Sequence[tuple[int, str]]) -> str:
        """Return the text of those up to a line, or of all, with that of other lines among them."""
        if not self._lines:
            return "".join(text for _, text in others)
        lines, texts = np.concatenate(self._lines), pa.concat_arrays(self._texts)
        found = len(lines) if last is None else int(np.searchsorted(lines, last, side="right"))
        self._lines, self._texts = [lines[found:]], [texts[found:]]
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32)[texts.offset :]
        stops = [*np.searchsorted(lines[:found], [line for line, _ in others]).tolist(), found]
        parts, start = [], 0
        for stop, text in zip(stops, [*(text for _, text in others), ""], strict=True):
            parts += [bytes(memoryview(data)[ends[start] : ends[stop]]).decode() if data else "", text]
            start = stop
        return "".join(parts)


def join_lines(text: bytes, delimiter: str, *, file: str, found: Found) -> pa.StringArray | None:
    """Return each reject as it is kept, None where that takes more than to put text together.

    Args:
        text: Lines without quotes or carriage returns of their own, in the order of `found`.
        delimiter: Of their fields.
        file: That they are in.
        found: The records.
    """
    if delimiter != "," and b"," in text:
        return None
    rows = text.replace(b"\r\n", b"\n").replace(delimiter.encode(), b",").replace(b"\n", b"\r\n")
    ends = np.flatnonzero(np.frombuffer(rows, dtype=np.uint8) == ord("\n")) + 1
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    fields = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(rows))
    return _join(fields, file=file, found=found)


def join_rows(table: pa.Table, *, file: str, found: Found) -> pa.StringArray | None:
    """Return each reject as it is kept, None where that takes more than to put text together.

    Args:
        table: A row a reject.
        file: That they are in.
        found: The records.
    """
    columns = [text_of(column) for column in table.columns]
    if any(pc.any(pc.match_substring_regex(column, _NEEDS_QUOTES)).as_py() for column in columns):
        return None
    columns[-1] = pc.binary_join_element_wise(columns[-1], "\r\n", "")
    return _join(*columns, file=file, found=found)


def text_of(column: pa.ChunkedArray) -> pa.StringArray:
    """Return each value as Python writes it, nothing where there is none."""
    if pa.types.is_integer(column.type) or pa.types.is_string(column.type):
        return pc.fill_null(column.cast(pa.string()), "").combine_chunks()
    texts = _write_floats(column.combine_chunks()) if pa.types.is_float64(column.type) else None
    if texts is not None:
        return texts
    return pa.array(["" if value is None else str(value) for value in column.to_pylist()], pa.string())


def _write_floats(values: pa.DoubleArray) -> pa.StringArray | None:
    """Return numbers as Python writes them, None where it would write one with an exponent, or as a word.

    orjson writes the same digits in a tenth of the time, but 1e16 for 1e+16 and null for nan.
    """
    numbers = values.fill_null(0.0).to_numpy()
    sizes = np.abs(numbers)
    if not len(numbers) or not ((sizes == 0) | ((sizes >= 1e-4) & (sizes < 1e16))).all():
        return None
    text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    commas = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord(","))
    offsets = np.concatenate([[0], commas - np.arange(len(commas)), [len(text) - len(commas)]])
    texts = pa.StringArray.from_buffers(
        len(numbers), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(text.replace(b",", b""))
    )
    return pc.if_else(values.is_null(), "", texts)


def _join(*fields: pa.StringArray, file: str, found: Found) -> pa.StringArray:
    why = pa.array([write_fields(problem) for problem in found.problems]).take(pa.array(found.places))
    lines = pa.array(found.lines).cast(pa.string())
    return pc.binary_join_element_wise(write_fields([file]), lines, why, *fields, ",")


def write_fields(fields: Sequence[str]) -> str:
    """Return fields as they stand in CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
