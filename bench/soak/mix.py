"""Make the requests of a soak: every form of payload, small and large, right and wrong, to every model."""

import http.client
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np

from bench.servers import HOST

_JSON: Final = "application/json"
_CSV: Final = "text/csv"
_NPY: Final = "application/x-npy"
_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Ask:
    """Hold one request, and what must be answered to it."""

    name: str
    request: bytes
    status: int
    answer: bytes
    """Body of the first answer, which every other one must equal."""
    is_large: bool


@dataclass(frozen=True, slots=True)
class _Form:
    name: str
    weight: int
    body: bytes
    headers: Mapping[str, str]
    status: int = 200


def make_mix(port: int, *, paths: Sequence[str], large_kib: int) -> tuple[list[Ask], list[int]]:
    """Return the requests with their weights; each is asked once to learn its answer.

    Raises:
        RuntimeError: A first answer does not have the status that it should.
    """
    asks, weights = [], []
    for path in paths:
        for form in _forms(large_kib):
            asks.append(_learn(port, path, form))
            weights.append(form.weight)
    return asks, weights


def _forms(large_kib: int) -> Iterator[_Form]:
    random = Random(9)  # made-up customers
    records = [(random.randint(18, 90), round(random.uniform(0, 9000), 2)) for _ in range(100)]
    pairs = json.dumps(records).encode()
    rows = "".join(f"{age},{power}\n" for age, power in records).encode()
    objects = [{"Age": age, "Income": power * 3, "Purchases": 3} for age, power in records]
    buffer = io.BytesIO()
    np.save(buffer, np.array(records))
    detail = {"Content-Type": _JSON, "Accept": f"{_JSON}; detail=full"}
    many = large_kib * 1024
    yield _Form("json one", 40, b"[[25, 1250.0]]", {"Content-Type": _JSON})
    yield _Form("json 100", 15, pairs, {"Content-Type": _JSON})
    yield _Form("csv 100", 15, rows, {"Content-Type": _CSV, "Accept": _CSV})
    yield _Form("npy 100", 5, buffer.getvalue(), {"Content-Type": _NPY, "Accept": _NPY})
    yield _Form("objects 100", 5, json.dumps(objects).encode(), {"Content-Type": _JSON})
    yield _Form("detail 100", 2, pairs, detail)
    yield _Form("bad record", 5, b'[[25, 1250.0], [45, "much"]]', {"Content-Type": _JSON}, 400)
    yield _Form("bad csv", 3, b"25,1250.0\n45\n", {"Content-Type": _CSV}, 400)
    yield _Form("bad type", 2, b"x", {"Content-Type": "image/png"}, 415)
    yield _Form(
        "json large", 1, b"[" + b"[25, 1250.0], " * (many // 14) + b"[1, 2]]", {"Content-Type": _JSON}
    )
    yield _Form("csv large", 1, b"45,3000.5\n" * (many // 10), {"Content-Type": _CSV, "Accept": _CSV})
    yield _Form("bad large", 1, b"45,3000.5\n" * (many // 20) + b"x,1\n", {"Content-Type": _CSV}, 400)


def _learn(port: int, path: str, form: _Form) -> Ask:
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", path, form.body, dict(form.headers))
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != form.status:
        raise RuntimeError(f"{form.name}: {response.status} instead of {form.status}: {answer[:200]!r}")
    lines = "".join(f"{name}: {value}\r\n" for name, value in form.headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\n{lines}Content-Length: {len(form.body)}\r\n\r\n"
    return Ask(
        f"{form.name} {path}",
        head.encode() + form.body,
        form.status,
        answer,
        is_large=len(form.body) > 64 * 1024,
    )
