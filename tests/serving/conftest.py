"""Provide what tests of serving share: ways to ask, forms of a payload, the shape of every refusal."""

import io
import json
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from service.artifact import MODEL, Artifact, Provenance, pack
from service.model import Golden, Segment, SegmentModel
from service.serving.invocation import Invocation, ServedModel, invoke
from service.transform import Transform
from tests.conftest import DEADLINE_S, clean_environment

JSON = "application/json"
JSON_LINES = "application/jsonlines"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
NPY = "application/x-npy"

Record = tuple[float, float]
"""Age, Spending_Power."""
Customer = tuple[float, float, float]
"""Age, Income, Purchases."""
Payload = tuple[str | None, bytes]
"""Content type, None for none, and body."""

DEFAULT_BODY = b"[[25, 1250.0], [70, 99999.5]]"

RECORDS: Sequence[Record] = ((25, 1250.0), (45, 3000.5), (70.5, 0), (18, 99999.75), (33, 512.125))


def post(
    client: httpx.Client,
    body: bytes,
    *,
    content_type: str | None = JSON,
    accept: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """POST to /invocations with exactly these headers: None leaves one out."""
    request = client.build_request("POST", "/invocations", content=body, headers=headers)
    for name, value in (("content-type", content_type), ("accept", accept)):
        request.headers.pop(name, None)
        if value is not None:
            request.headers[name] = value
    return client.send(request)


def ask(
    served: ServedModel,
    body: bytes,
    *,
    content_type: str | None = JSON,
    accept: str = "",
    attributes: str = "",
) -> Invocation:
    """Invoke without a server."""
    return invoke(body, content_type=content_type or "", accept=accept, attributes=attributes, model=served)


def check_refusal(
    answer: httpx.Response | Invocation,
    *,
    status: int,
    code: str,
    record: int | None = None,
    field: str | None = None,
) -> str:
    """Assert the one form that every error has, and return its message."""
    if isinstance(answer, Invocation):
        actual_status, body, content_type = answer.status, answer.body, dict(answer.headers)[b"content-type"]
    else:
        actual_status, body = answer.status_code, answer.content
        content_type = answer.headers["content-type"].encode()
    assert actual_status == status, body
    assert content_type == b"application/json"
    assert len(body) < 2048
    document = json.loads(body)
    assert list(document) == ["error"]
    error = document["error"]
    expected = {"code": code}
    where = {name: value for name, value in (("record", record), ("field", field)) if value is not None}
    assert {name: value for name, value in error.items() if name != "message"} == {**expected, **where}
    message = error["message"]
    assert isinstance(message, str)
    assert message
    assert "Traceback" not in message
    return message


def npy(array: npt.NDArray[np.generic]) -> bytes:
    """Return the bytes that np.save writes."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype.hasobject)
    return buffer.getvalue()


def npy_with_header(header: str, content: bytes = bytes(16), *, major: int = 1) -> bytes:
    """Return an npy payload with any header, however wrong."""
    encoded = header.encode("utf-8" if major == 3 else "latin-1")
    size = struct.pack("<H" if major == 1 else "<I", len(encoded))
    return b"\x93NUMPY" + bytes([major, 0]) + size + encoded + content


def payloads(records: Sequence[Record]) -> dict[str, Payload]:
    """Return the same records in every form that a batch can have."""
    pairs = [list(record) for record in records]
    objects = [{"Age": age, "Spending_Power": power} for age, power in records]
    features = [{"features": pair} for pair in pairs]
    by_line = "".join(f"{json.dumps(pair)}\n" for pair in pairs).encode()
    rows = "".join(f"{age!r},{power!r}\n" for age, power in records)
    swapped = "".join(f"x,{power!r}, {age!r} \r\n" for age, power in records)
    array = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    spaced = json.dumps(pairs, indent=2).encode()
    return {
        "json": (JSON, json.dumps(pairs).encode()),
        "json compact": (JSON, json.dumps(pairs, separators=(",", ":")).encode()),
        "json spaced": ("APPLICATION/JSON; charset=UTF-8", b"\r\n\t " + spaced + b"\n"),
        "json objects": (JSON, json.dumps(objects).encode()),
        "json features": (JSON, json.dumps(features).encode()),
        "json instances": (JSON, json.dumps({"instances": pairs}).encode()),
        "json inputs": (JSON, json.dumps({"inputs": pairs}).encode()),
        "json instances of features": (JSON, json.dumps({"instances": features}).encode()),
        "json instances of objects": (JSON, json.dumps({"instances": objects}).encode()),
        "json mixed": (JSON, json.dumps([*pairs[:1], *objects[1:2], *features[2:]]).encode()),
        "json by line": (JSON, by_line),
        "json lines": (JSON_LINES, by_line),
        "json lines blank": (JSON_LINES, b"\r\n" + by_line.replace(b"\n", b"\r\n\n").rstrip()),
        "json lines x": ("application/x-jsonlines", by_line),
        "json lines of objects": (NDJSON, "".join(f"{json.dumps(o)}\n" for o in objects).encode()),
        "ndjson": (f"{NDJSON}; charset=utf-8", by_line.rstrip()),
        "csv": (CSV, rows.encode()),
        "csv crlf": ('Text/CSV; charset="utf-8"', rows.replace("\n", "\r\n").encode()),
        "csv unfinished": (CSV, rows.rstrip().encode()),
        "csv blank lines": (CSV, f"\n{rows}\n  \n".replace("\n", "\n\n").encode()),
        "csv quoted": (CSV, "".join(f'"{age!r}", {power!r}\n' for age, power in records).encode()),
        "csv header": (CSV, f"Age,Spending_Power\n{rows}".encode()),
        "csv header swapped": (CSV, f"\ufeffGender, spending_power ,AGE\r\n{swapped}".encode()),
        "npy": (NPY, npy(array)),
        "npy fortran": (NPY, npy(np.asfortranarray(array))),
        "npy big-endian": (NPY, npy(array.astype(">f8"))),
        "no type, json": (None, json.dumps(pairs).encode()),
        "no type, csv": (None, rows.encode()),
        "octets, json": ("application/octet-stream", b" \n" + json.dumps(pairs).encode()),
        "octets, csv": ("application/octet-stream", rows.encode()),
        "octets, npy": ("application/octet-stream", npy(array)),
        "any type": ("*/*", json.dumps(pairs).encode()),
        "bom": (JSON, b"\xef\xbb\xbf" + json.dumps(pairs).encode()),
    }


def single_payloads(record: Record) -> dict[str, Payload]:
    """Return one record in the forms that only one can have."""
    age, power = record
    return {
        "json": (JSON, json.dumps(list(record)).encode()),
        "json object": (JSON, json.dumps({"Age": age, "Spending_Power": power}).encode()),
        "json features": (JSON, json.dumps({"features": list(record)}).encode()),
        "json line": (JSON, json.dumps(list(record)).encode() + b"\n"),
        "json lines": (JSON_LINES, json.dumps(list(record)).encode()),
        "csv": (CSV, f"{age!r},{power!r}".encode()),
        "npy": (NPY, npy(np.array(record, dtype=np.float64))),
        "sniffed": (None, json.dumps(list(record)).encode()),
        "sniffed object": (None, json.dumps({"Age": age, "Spending_Power": power}).encode()),
    }


def raw_payloads(customers: Sequence[Customer]) -> dict[str, Payload]:
    """Return customers in every form from which the server derives Spending_Power."""
    objects = [
        {"Purchases": purchases, "Age": age, "Gender": "F", "Income": income}
        for age, income, purchases in customers
    ]
    rows = "".join(f"{income!r},{purchases!r},M,{age!r}\n" for age, income, purchases in customers)
    return {
        "json": (JSON, json.dumps(objects).encode()),
        "json instances": (JSON, json.dumps({"instances": objects}).encode()),
        "json lines": (JSON_LINES, "".join(f"{json.dumps(o)}\n" for o in objects).encode()),
        "csv": (CSV, f"income,PURCHASES,Gender,Age\n{rows}".encode()),
    }


def run_serve(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a `segserve serve` that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "service", "serve", *arguments],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def make_served(k: int, *, transform: Transform = Transform.NONE, seed: int = 7) -> ServedModel:
    """Return a model with k random centroids, which no training is needed for."""
    random = np.random.default_rng(seed)
    centroids = tuple((float(x), float(y)) for x, y in random.normal(size=(k, 2)))
    model = SegmentModel(
        transform=transform,
        mean=(44.3, 2170.7 if transform is Transform.NONE else 6.9),
        scale=(15.1, 1391.3 if transform is Transform.NONE else 1.3),
        centroids=centroids,
        segments=tuple(Segment(label, f'Näme "{label}", x', 1, 1 / k, {}, 2.5) for label in range(k)),
        income_median=1.0,
        border_ratio=1.2,
        golden=Golden((), ()),
    )
    return ServedModel(model=model, version="20261123T044500Z-3f2a9c1b")


@pytest.fixture(name="served", scope="session")
def _served(artifact: Artifact) -> ServedModel:
    """Return the trained model as a server holds it."""
    return ServedModel(model=artifact.model, version=artifact.manifest.model_version)


def upside_down(artifact: Artifact) -> bytes:
    """Return an artifact that gives the labels of the other one in reverse order."""
    document = json.loads(artifact.files[MODEL])
    k = len(document["centroids"])
    document["centroids"].reverse()
    document["segments"] = [
        {**segment, "id": number} for number, segment in enumerate(reversed(document["segments"]))
    ]
    document["golden"]["clusters"] = [k - 1 - label for label in document["golden"]["clusters"]]
    provenance = Provenance(python="3", libraries={}, git_revision=None, data_digest="0" * 64)
    files = {MODEL: json.dumps(document).encode()}
    return pack(files, provenance=provenance, created=datetime(2026, 11, 23, tzinfo=UTC))[1]
