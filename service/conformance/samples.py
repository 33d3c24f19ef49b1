"""Hold the requests to send, and make longer ones of them without knowing what they mean."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.errors import ConfigurationError

JSON: Final = "application/json"
JSON_LINES: Final = "application/jsonlines"
CSV: Final = "text/csv"
LINE_TYPES: Final = (CSV, JSON_LINES, "application/x-ndjson", "application/x-jsonlines")
"""Types with one record a line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold a request that the server ought to answer."""

    body: bytes
    content_type: str

    @property
    def media_type(self) -> str:
        """Return the content type without parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()

    def is_document(self) -> bool:
        """Tell whether the body is one JSON list or object, of which no beginning is valid."""
        try:
            return self.media_type == JSON and isinstance(json.loads(self.body), list | dict)
        except ValueError:
            return False

    def with_records(self, count: int) -> bytes | None:
        """Return a body with this many records, None where it cannot be told what a record is.

        Records of the sample are repeated: lines of CSV (after its header, where it has one)
        and JSON Lines, elements of a JSON list, or of the only list in a JSON object.
        """
        if self.media_type in LINE_TYPES:
            head, lines = self.lines()
            return b"".join([*head, *_repeated(lines, count)]) if lines else None
        if self.media_type != JSON:
            return None
        try:
            document = json.loads(self.body)
        except ValueError:
            return None
        return _json_with_records(document, count)

    def lines(self) -> tuple[list[bytes], list[bytes]]:
        """Return the header of a body of lines, if it has one, and its records, each with a newline."""
        lines = [line + b"\n" for line in self.body.splitlines() if line.strip()]
        if self.media_type == CSV and len(lines) > 1 and _is_header(lines[0], lines[1]):
            return lines[:1], lines[1:]
        return [], lines

    def of_size(self, size_bytes: int) -> bytes | None:
        """Return a body of about this size that means the same or holds more records, if one is known.

        JSON is filled up with blanks, which mean nothing in it; lines are repeated.
        """
        if self.media_type == JSON:
            return self.body.rjust(size_bytes)
        if self.media_type in LINE_TYPES:
            _, lines = self.lines()
            length = max(1, sum(map(len, lines)) // max(1, len(lines)))
            return self.with_records(max(1, size_bytes // length))
        return None


DEFAULT_SAMPLES: Final = (
    Sample(b"[[25, 1250.0], [45, 3000.5]]", JSON),
    Sample(b"25,1250.0\n45,3000.5\n", CSV),
    Sample(b"[25, 1250.0]\n[45, 3000.5]\n", JSON_LINES),
)
"""What segserve's models take: Age and Spending_Power."""


def read_sample(specification: str) -> Sample:
    """Read `FILE:CONTENT_TYPE`.

    Raises:
        ConfigurationError: It is not of this form, or the file cannot be read.
    """
    path, colon, content_type = specification.rpartition(":")
    if not colon or not path or "/" not in content_type or not content_type.isascii():
        raise ConfigurationError(
            f"--request {specification} is not FILE:CONTENT_TYPE, for example input.json:application/json"
        )
    try:
        return Sample(Path(path).read_bytes(), content_type)
    except OSError as exc:
        raise ConfigurationError(f"--request: {path} cannot be read ({exc.strerror})") from exc


def _repeated(items: list[Any], count: int) -> list[Any]:
    return (items * (count // len(items) + 1))[:count]


def _json_with_records(document: Any, count: int) -> bytes | None:
    match document:
        case [_, *_]:
            # A flat list of numbers is one record, not many.
            nested = [item for item in document if isinstance(item, list | dict)]
            return _dump(_repeated(document, count)) if len(nested) == len(document) else None
        case {"dataframe_split": {"data": [_, *_] as rows} as split}:
            return _dump({**document, "dataframe_split": {**split, "data": _repeated(rows, count)}})
        case dict():
            lists = [name for name, value in document.items() if isinstance(value, list) and value]
            is_of_records = len(lists) == 1 and isinstance(document[lists[0]][0], list | dict)
            if is_of_records and not _has_shape(document):
                return _dump({**document, lists[0]: _repeated(document[lists[0]], count)})
        case _:
            pass
    return None


def _has_shape(document: dict[str, Any]) -> bool:
    """Tell whether a tensor's shape is stated beside its data, as in the Open Inference Protocol."""
    return any(
        isinstance(item, dict) and "shape" in item
        for value in document.values()
        if isinstance(value, list)
        for item in value
    )


def _dump(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _is_header(first: bytes, second: bytes) -> bool:
    """Tell whether only the second line has numbers."""
    return not any(map(_is_number, first.split(b","))) and any(map(_is_number, second.split(b",")))


def _is_number(cell: bytes) -> bool:
    try:
        float(cell.strip().strip(b'"'))
    except ValueError:
        return False
    return True
