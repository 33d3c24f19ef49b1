"""Read records one by one and say exactly which one is wrong, and how.

The careful half of the codec: any form of record, any error. `codec` tries its fast half first.
"""

from __future__ import annotations

import ast
import csv
import io
import itertools
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from service.errors import InvalidPayloadError, InvalidRecordError, RejectReason
from service.features import (
    AGE,
    FEATURE_NAMES,
    INCOME,
    MAX_VALUE,
    PURCHASES,
    RAW_COLUMNS,
    SPENDING_POWER,
    is_valid_value,
    spending_power,
)
from service.lazy import np, npt
from service.serving.turns import in_turns

Vector = tuple[float, float]

ACCEPTED_RECORDS: Final = (
    f"[{AGE}, {SPENDING_POWER}], an object with {AGE} and {SPENDING_POWER}, "
    f"or an object with {AGE}, {INCOME} and {PURCHASES}"
)
_COLUMNS: Final = frozenset(name.casefold() for name in (AGE, SPENDING_POWER, INCOME, PURCHASES))
"""One of them in its first line makes it a CSV payload with a header."""
_MAX_HEADER_BYTES: Final = 16 * 1024
"""Of a header that is looked at before the rows."""
_BATCHES: Final = ("instances", "inputs")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NPY_MAGIC: Final = b"\x93NUMPY"
_NPY_LENGTH_BYTES: Final = {1: 2, 2: 4}
"""Bytes that hold the header's length, by format version (numpy.lib.format)."""
_NPY_MAX_HEADER: Final = 10_000
_NPY_DTYPE: Final = re.compile(r"([<>|=])([fiu])([0-9]{1,2})")
_NPY_SIZES: Final[Mapping[str, frozenset[int]]] = {
    "f": frozenset({2, 4, 8}),
    "i": frozenset({1, 2, 4, 8}),
    "u": frozenset({1, 2, 4, 8}),
}
"""Bytes of the numbers that numpy knows on every machine, by kind."""
_NPY_ORDERS: Final = {">": ">", "<": "<"}
_NATIVE: Final = "<" if sys.byteorder == "little" else ">"
_KINDS: Final = {str: "text", bool: "a boolean", type(None): "null", list: "a list", dict: "an object"}


def read_records(
    records: Iterable[object], *, is_lenient: bool, rejected: Counter[RejectReason] | None = None
) -> Iterator[Vector | None]:
    """Yield the features of each record; None for a bad one when lenient.

    Args:
        records: As they come out of JSON, or mappings of text out of CSV.
        is_lenient: Whether a bad record yields None.
        rejected: Counts the records that yield None.

    Raises:
        InvalidRecordError: A record is bad, and not lenient.
    """
    for position, record in enumerate(records):
        try:
            yield _read_record(record, position)
        except InvalidRecordError as exc:
            if not is_lenient:
                raise
            if rejected is not None:
                rejected[exc.reason] += 1
            yield None


def json_records(body: bytes, *, is_lenient: bool = False) -> Iterable[object]:
    """Return the records of a JSON document, or of one JSON value a line (C52).

    Raises:
        InvalidPayloadError: It is neither.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        if _has_values_by_line(body, is_lenient=is_lenient):
            return json_lines_records(body)
        raise InvalidPayloadError(f"the payload is not JSON: {exc.msg} at character {exc.pos}") from None
    if isinstance(document, dict):
        batch = next((document[name] for name in _BATCHES if name in document), None)
        if batch is None:
            return [document]
        if not isinstance(batch, list):
            raise InvalidPayloadError("'instances' must hold a list of records")
        return batch
    if not isinstance(document, list):
        raise InvalidPayloadError(f"the payload is not a list of records; a record is {ACCEPTED_RECORDS}")
    is_one_record = bool(document) and not isinstance(document[0], list | dict)
    return [document] if is_one_record else document


def json_lines_records(body: bytes) -> Iterator[object]:
    """Yield the records of a payload with one JSON value a line, None for a line that is not JSON."""
    for line in in_turns(io.BytesIO(body)):
        if not line.strip():
            continue
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            yield None


def csv_records(body: bytes) -> Iterator[object]:
    """Yield the records of a CSV payload, with or without a header; None for a line that is not CSV.

    A record is a line (C51): a quoted field ends with it. Blank lines do not count. A first line that names
    any column of a record is a header.

    Raises:
        InvalidPayloadError: It is not UTF-8, or its header lacks a column.
    """
    rows = _csv_rows(body)
    first = next(rows, None)
    if first is None or _is_no_header(first):
        for row in itertools.chain([first], rows):
            yield None if row is None else [_number(cell) for cell in row]
        return
    columns = _header(first)
    for row in rows:
        is_whole = row is not None and len(row) == len(first)
        yield {name: _number(row[index]) for name, index in columns.items()} if row and is_whole else None


def csv_header(body: bytes) -> tuple[list[str], int] | None:
    """Return what each column of a CSV payload holds, "" for nothing of a record, and where its rows begin.

    Returns:
        None where the first line is no header, or ends in another way than with a line feed.

    Raises:
        InvalidPayloadError: The header lacks a column.
    """
    end = body.find(b"\n", 0, _MAX_HEADER_BYTES) + 1
    line = body[: end - 1].removesuffix(b"\r") if end else b""
    if not line or b"\r" in line:
        return None
    try:
        cells = _csv_cells(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None
    if cells is None or _is_no_header(cells):
        return None
    names = [""] * len(cells)
    for name, index in _header(cells).items():
        names[index] = name
    return names, end


def npy_vectors(body: bytes) -> npt.NDArray[np.float64]:
    """Return the features in an npy payload, shape (n_samples, 2). Nothing is unpickled.

    Raises:
        InvalidPayloadError: It is not an array of numbers of shape (n_samples, 2), or is cut short.
    """
    shape, is_fortran, name, offset = npy_layout(body)
    vectors = np.frombuffer(memoryview(body)[offset:], dtype=np.dtype(name))
    vectors = vectors.reshape(shape, order="F" if is_fortran else "C")
    with np.errstate(over="ignore"):  # a longdouble may become infinite, which is refused by its record
        return np.ascontiguousarray(vectors, dtype=np.float64)


def npy_layout(body: bytes) -> tuple[tuple[int, ...], bool, str, int]:
    """Return an npy payload's shape (n_samples, 2), whether it is in Fortran's order, its dtype and offset.

    The dtype is its name as numpy spells it, as `<f8`. Common ones are told without numpy.

    Raises:
        InvalidPayloadError: As `npy_vectors` does.
    """
    shape, is_fortran, dtype, offset = _npy_header(body)
    shape = (1, *shape) if len(shape) == 1 else shape
    if dtype is None or len(shape) != 2 or shape[1] != 2:
        raise InvalidPayloadError("the npy array must hold numbers and have the shape (n, 2)")
    name, item_bytes = dtype
    if len(body) - offset != shape[0] * 2 * item_bytes:
        raise InvalidPayloadError("the npy array does not have as many bytes as its shape says")
    return shape, is_fortran, name, offset


def _npy_header(body: bytes) -> tuple[tuple[int, ...], bool, tuple[str, int] | None, int]:
    """Return shape, order, dtype (None where it is not one of numbers) and where the data begin.

    numpy's own reader lets hostile headers raise what it pleases, from IndexError to TokenError.
    """
    width = _NPY_LENGTH_BYTES.get(body[6]) if body.startswith(_NPY_MAGIC) and len(body) > 7 else None
    if width is None:
        raise InvalidPayloadError("the payload is not an npy array")
    start = 8 + width
    end = start + int.from_bytes(body[8:start], "little")
    if not start < end <= min(len(body), _NPY_MAX_HEADER):
        raise InvalidPayloadError("the payload is not an npy array: its header is cut short or too long")
    try:
        header = ast.literal_eval(body[start:end].decode("latin-1").strip())
        shape, is_fortran, name = header["shape"], header["fortran_order"], header["descr"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        raise InvalidPayloadError("the payload is not an npy array: its header cannot be read") from None
    is_shape = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if not is_shape or type(is_fortran) is not bool:
        raise InvalidPayloadError("the payload is not an npy array: its header cannot be read")
    return shape, is_fortran, npy_dtype(name), end


def npy_dtype(name: object) -> tuple[str, int] | None:
    """Return a dtype's name as numpy spells it, and its bytes; None for one that is not of numbers."""
    match = _NPY_DTYPE.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return None
    order, kind, digits = match.groups()
    size = int(digits)
    if size in _NPY_SIZES[kind]:
        return f"{'|' if size == 1 else _NPY_ORDERS.get(order, _NATIVE)}{kind}{size}", size
    try:
        dtype = np.dtype(match[0])  # a longdouble has as many bytes as the machine likes
    except TypeError:
        return None
    return dtype.str, dtype.itemsize


def _read_record(record: object, position: int) -> Vector:
    if isinstance(record, dict):
        if "features" in record:
            record = record["features"]
        else:
            return _read_object(record, position)
    if not isinstance(record, list) or len(record) != 2:
        raise InvalidRecordError(
            f"record {position} cannot be read; a record is {ACCEPTED_RECORDS}", position=position
        )
    age, power = record
    return _value(age, AGE, position), _value(power, SPENDING_POWER, position)


def _read_object(record: Mapping[str, Any], position: int) -> Vector:
    missing = [name for name in (AGE,) if name not in record]
    if SPENDING_POWER not in record:
        missing += [name for name in (INCOME, PURCHASES) if name not in record]
    if missing:
        raise InvalidRecordError(
            f"{missing[0]} is missing in record {position}; a record is {ACCEPTED_RECORDS}",
            position=position,
            field=missing[0],
            reason=RejectReason.MISSING,
        )
    age = _value(record[AGE], AGE, position)
    if SPENDING_POWER in record:
        return age, _value(record[SPENDING_POWER], SPENDING_POWER, position)
    income = _value(record[INCOME], INCOME, position)
    return age, spending_power(income, _value(record[PURCHASES], PURCHASES, position))


def _value(value: object, field: str, position: int) -> float:
    """Return a usable number, or raise InvalidRecordError that says what is wrong with it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if is_valid_value(value):
            return float(value)
        reason = _reason(value)
        problem = reason.replace("_", " ")
    else:
        reason, problem = RejectReason.NOT_A_NUMBER, _KINDS.get(type(value), "no number")
    raise InvalidRecordError(
        f"{field} in record {position} is {problem}; it must be a number from 0 to {MAX_VALUE:g}",
        position=position,
        field=field,
        reason=reason,
    )


def _reason(number: float) -> RejectReason:
    if number < 0:
        return RejectReason.NEGATIVE
    return RejectReason.NOT_FINITE if math.isnan(number) else RejectReason.TOO_LARGE


def _is_no_header(cells: Iterable[str]) -> bool:
    return _COLUMNS.isdisjoint(map(_normalized, cells))


def _header(names: Sequence[str]) -> dict[str, int]:
    """Return the position of each column that makes up a record."""
    found: dict[str, int] = {}
    for index, name in enumerate(names):
        key = _normalized(name)
        if key in found:
            raise InvalidPayloadError("the CSV header names a column twice")
        found[key] = index
    columns = FEATURE_NAMES if SPENDING_POWER.casefold() in found else RAW_COLUMNS
    missing = [name for name in columns if name.casefold() not in found]
    if missing:
        raise InvalidPayloadError(
            f"the CSV header lacks {' and '.join(missing)}; it names {AGE} with {SPENDING_POWER}, "
            f"or with {INCOME} and {PURCHASES}"
        )
    return {name: found[name.casefold()] for name in columns}


def _normalized(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def _csv_rows(body: bytes) -> Iterator[list[str] | None]:
    """Yield the cells of each line that is not blank, None where they cannot be told apart."""
    lines = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig")
    try:
        for line in in_turns(lines):
            if line.strip():
                yield _csv_cells(line.rstrip("\n"))
    except UnicodeDecodeError:
        raise InvalidPayloadError("the payload is not UTF-8 text") from None


def _csv_cells(line: str) -> list[str] | None:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        return None


def _has_values_by_line(body: bytes, *, is_lenient: bool) -> bool:
    """Tell whether there are several lines, and the first one (when lenient: one of them) is JSON."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    return len(lines) > 1 and any(map(_is_json, in_turns(lines) if is_lenient else lines[:1]))


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _number(cell: str) -> float | str:
    stripped = cell.strip()
    return float(stripped) if _NUMBER.fullmatch(stripped) else stripped
