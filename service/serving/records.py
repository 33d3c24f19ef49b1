"""Read records one by one and say exactly which one is wrong, and how.

The careful half of the codec: any form of record, any error. `codec` tries its fast half first.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from service.errors import InvalidPayloadError, InvalidRecordError
from service.features import (
    AGE,
    FEATURE_NAMES,
    INCOME,
    MAX_VALUE,
    PURCHASES,
    SPENDING_POWER,
    is_valid_value,
    spending_power,
)

Vector = tuple[float, float]

ACCEPTED_RECORDS: Final = (
    f"[{AGE}, {SPENDING_POWER}], an object with {AGE} and {SPENDING_POWER}, "
    f"or an object with {AGE}, {INCOME} and {PURCHASES}"
)
_BATCHES: Final = ("instances", "inputs")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_KINDS: Final = {str: "text", bool: "a boolean", type(None): "null", list: "a list", dict: "an object"}


def read_records(records: Iterable[object], *, is_lenient: bool) -> list[Vector | None]:
    """Return the features of each record; None for a bad one when lenient.

    Args:
        records: As they come out of JSON, or mappings of text out of CSV.
        is_lenient: Whether a bad record yields None.

    Raises:
        InvalidRecordError: A record is bad, and not lenient.
    """
    vectors: list[Vector | None] = []
    for position, record in enumerate(records):
        try:
            vectors.append(_read_record(record, position))
        except InvalidRecordError:
            if not is_lenient:
                raise
            vectors.append(None)
    return vectors


def json_records(body: bytes) -> Sequence[object]:
    """Return the records of a JSON document, or of one JSON value a line (C52).

    Raises:
        InvalidPayloadError: It is neither.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        if _has_values_by_line(body):
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


def json_lines_records(body: bytes) -> list[object]:
    """Return the records of a payload with one JSON value a line, None for a line that is not JSON."""
    records: list[object] = []
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        try:
            records.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            records.append(None)
    return records


def csv_records(body: bytes) -> Iterator[object]:
    """Yield the records of a CSV payload, with or without a header; blank lines do not count.

    Raises:
        InvalidPayloadError: It is not CSV, or its header lacks a column.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InvalidPayloadError(f"the payload is not UTF-8 text (byte {exc.start})") from None
    rows = (row for row in csv.reader(io.StringIO(text, newline="")) if any(cell.strip() for cell in row))
    try:
        first = next(rows, [])
        if AGE.casefold() not in map(_normalized, first):
            yield from ([_number(cell) for cell in row] for row in itertools.chain([first], rows))
            return
        columns = _header(first)
        for row in rows:
            is_whole = len(row) == len(first)
            yield {name: _number(row[index]) for name, index in columns.items()} if is_whole else None
    except csv.Error as exc:
        raise InvalidPayloadError(f"the payload is not CSV: {exc}") from None


def npy_vectors(body: bytes) -> npt.NDArray[np.float64]:
    """Return the features in an npy payload, shape (n_samples, 2). Nothing is unpickled.

    Raises:
        InvalidPayloadError: It is not an array of numbers of shape (n_samples, 2), or is cut short.
    """
    stream = io.BytesIO(body)
    try:
        major, _ = np.lib.format.read_magic(stream)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[major]
        shape, is_fortran, dtype = read_header(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError, EOFError):
        raise InvalidPayloadError("the payload is not an npy array") from None
    shape = (1, *shape) if len(shape) == 1 else shape
    if dtype.kind not in "fiu" or len(shape) != 2 or shape[1] != 2:
        raise InvalidPayloadError("the npy array must hold numbers and have the shape (n, 2)")
    content = memoryview(body)[stream.tell() :]
    if len(content) != shape[0] * 2 * dtype.itemsize:
        raise InvalidPayloadError("the npy array does not have as many bytes as its shape says")
    vectors = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if is_fortran else "C")
    with np.errstate(over="ignore"):  # a longdouble may become infinite, which is refused by its record
        return np.ascontiguousarray(vectors, dtype=np.float64)


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
        problem = "negative" if value < 0 else "not finite" if value != value else "too large"  # noqa: PLR0124
    else:
        problem = _KINDS.get(type(value), "no number")
    raise InvalidRecordError(
        f"{field} in record {position} is {problem}; it must be a number from 0 to {MAX_VALUE:g}",
        position=position,
        field=field,
    )


def _header(names: Sequence[str]) -> dict[str, int]:
    """Return the position of each column that makes up a record."""
    found: dict[str, int] = {}
    for index, name in enumerate(names):
        key = _normalized(name)
        if key in found:
            raise InvalidPayloadError("the CSV header names a column twice")
        found[key] = index
    for columns in (FEATURE_NAMES, (AGE, INCOME, PURCHASES)):
        if all(name.casefold() in found for name in columns):
            return {name: found[name.casefold()] for name in columns}
    raise InvalidPayloadError(
        f"the CSV header names {AGE}, but neither {SPENDING_POWER} nor both {INCOME} and {PURCHASES}"
    )


def _normalized(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def _has_values_by_line(body: bytes) -> bool:
    """Tell whether the first line is JSON by itself, and not the only one."""
    first, newline, _ = body.strip().partition(b"\n")
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError:
        return False
    return bool(newline)


def _number(cell: str) -> float | str:
    stripped = cell.strip()
    return float(stripped) if _NUMBER.fullmatch(stripped) else stripped
