"""Say the same records in each server's words, and read the labels out of its answer."""

import json
import struct
from array import array
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, assert_never

Records = Sequence[Sequence[float]]

COLUMNS: Final = ("Age", "Spending_Power")
FRAMED: Final = 10_000
"""From so many records on a data frame costs MLflow less than its `inputs`; for fewer it costs more."""


class Dialect(StrEnum):
    """Name what a server calls the records."""

    RECORDS = "[[age, sp], ...]"
    OBJECTS = '[{"Age": age, "Spending_Power": sp}, ...]'
    NESTED = '[{"Age": age, "Spending_Power": sp, "Tags": []}, ...]'
    DATA = '{"data": ...}'
    INPUT = '{"input": ...}'
    MLFLOW = '{"inputs": ...}, from 10,000 records {"dataframe_split": ...}'
    V2 = '{"inputs": [{"data": [age, sp, ...]}]}'


def encode_json(records: Records, dialect: Dialect) -> bytes:
    """Return a JSON body."""
    document: Any
    match dialect:
        case Dialect.RECORDS:
            document = records
        case Dialect.OBJECTS:
            document = [dict(zip(COLUMNS, record, strict=True)) for record in records]
        case Dialect.NESTED:
            document = [{**dict(zip(COLUMNS, record, strict=True)), "Tags": []} for record in records]
        case Dialect.DATA:
            document = {"data": records}
        case Dialect.INPUT:
            document = {"input": records}
        case Dialect.MLFLOW:
            if len(records) < FRAMED:
                document = {"inputs": records}
            else:
                document = {"dataframe_split": {"columns": COLUMNS, "data": records}}
        case Dialect.V2:
            flat = [number for record in records for number in record]
            tensor = {"name": "x", "shape": [len(records), 2], "datatype": "FP64", "data": flat}
            document = {"inputs": [tensor]}
        case _:
            assert_never(dialect)
    return json.dumps(document).encode()


def encode_csv(records: Records, *, has_header: bool) -> bytes:
    """Return a CSV body."""
    lines = [",".join(COLUMNS)] if has_header else []
    lines += [f"{age},{spending_power}" for age, spending_power in records]
    return "\n".join([*lines, ""]).encode()


def encode_npy(records: Records) -> bytes:
    """Return a body of numpy's own format, without numpy: its pages are not to be shared with servers.

    Source: numpy.lib.format, version 1.0.
    """
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({len(records)}, 2), }}".encode()
    padding = b" " * (-(len(header) + 11) % 64) + b"\n"
    numbers = array("d", (number for record in records for number in record))
    size = struct.pack("<H", len(header) + len(padding))
    return b"\x93NUMPY\x01\x00" + size + header + padding + numbers.tobytes()


def read_labels(answer: bytes) -> list[int]:
    """Return the labels of an answer in JSON, in any server's words, or in CSV.

    Raises:
        ValueError: It is neither.
    """
    text = answer.decode()
    if not text.lstrip().startswith(("[", "{")):
        return [int(line) for line in text.split()]
    found = json.loads(text)
    while isinstance(found, dict):
        key = next((key for key in ("predictions", "output", "outputs", "data") if key in found), None)
        if key is None:
            raise ValueError(f"an answer without labels: {text[:80]}")
        found = found[key]
        if key == "outputs":
            found = found[0]
    return [int(label) for label in found]
