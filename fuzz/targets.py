"""Name what is fuzzed: a target takes bytes, tells whether they were good, and raises when it breaks."""

import copy
import gzip
import hashlib
import io
import json
import struct
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from fuzz import oracle
from fuzz.promises import check, check_answer, without_volatile
from fuzz.wire import server
from service.artifact import MANIFEST, MODEL, Provenance, read_artifact, seal
from service.errors import ArtifactError, ConfigurationError, DatasetError, InvocationError, StoreError
from service.serving.invocation import invoke
from service.serving.media import make_plan
from service.serving.runtime_request import ValidationError, find_operation, read_call
from service.settings import OnError
from service.training.customers import read_customers
from service.training.hyperparameters import read_hyperparameters

JSON, LINES, CSV, NPY = "application/json", "application/jsonlines", "text/csv", "application/x-npy"

_TYPES: Final = (JSON, LINES, CSV, NPY, "", "application/x-ndjson", "text/csv; charset=utf-8", "*/*")
_ACCEPTS: Final = (
    "",
    CSV,
    LINES,
    NPY,
    f"{JSON}; detail=full",
    f"{CSV}; detail=full",
    f"{JSON}; on_error=placeholder",
)

Oracle = Callable[[bytes], oracle.Vectors | None]


@dataclass(frozen=True, slots=True)
class Target:
    """Hold what is fuzzed."""

    run: Callable[[bytes], bool]
    seeds: Callable[[], Sequence[bytes]]
    max_bytes: int = 4096


def _ask(body: bytes, *, content_type: str, accept: str = "") -> bool:
    reply = invoke(body, content_type=content_type, accept=accept, attributes="", model=oracle.served())
    return check_answer(reply.status, reply.body, content_type=reply.content_type)


def _payload(body: bytes, *, content_type: str, read: Oracle) -> bool:
    """Check that what scikit-learn's own path takes gets scikit-learn's labels."""
    is_good = _ask(body, content_type=content_type)
    vectors = read(body)
    if vectors is not None and (len(vectors) or is_good):
        check(is_good, "scikit-learn's own path takes this payload")
        reply = invoke(body, content_type=content_type, accept="", attributes="", model=oracle.served())
        labels = np.array(json.loads(reply.body), dtype=np.int32)
        expected = oracle.predict(vectors)
        check(labels.shape == expected.shape, "as many labels as records")
        different = labels != expected
        check(not different.any() or bool(oracle.is_tied(vectors)[different].all()), "scikit-learn's labels")
    return is_good


def _any_payload(data: bytes) -> bool:
    kinds, body = data[:2].ljust(2, b"\0"), data[2:]
    return _ask(body, content_type=_TYPES[kinds[0] % len(_TYPES)], accept=_ACCEPTS[kinds[1] % len(_ACCEPTS)])


def _ways(data: bytes) -> bool:
    """Check that the short cut, the long way and `invoke` answer with the same bytes."""
    kinds, body = data[:2].ljust(2, b"\0"), data[2:]
    content_type = _TYPES[kinds[0] % len(_TYPES)]
    accept = _ACCEPTS[kinds[1] % len(_ACCEPTS)]
    short, long = (
        server().answers(
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nAccept: {accept}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        for path in ("/invocations", "/invocations?")
    )
    check(without_volatile(short) == without_volatile(long), "the short cut and the long way agree")
    reply = invoke(body, content_type=content_type, accept=accept, attributes="", model=oracle.served())
    head, _, content = short.partition(b"\r\n\r\n")
    check(int(head.split(b" ", 2)[1]) == reply.status, "the server and invoke have one status")
    check(content == reply.body, "the server and invoke have one body")
    return reply.status == 200


_CLOSES: Final = b"\r\nconnection: close\r\n"


def _http(data: bytes) -> bool:
    """Check that what is answered does not depend on how the bytes come in packets."""
    whole = server().answers(data)
    halves = server().answers(data[: len(data) // 2], data[len(data) // 2 :])
    bytewise = server().answers(*(data[place : place + 1] for place in range(len(data))))
    statuses = [_statuses(answer) for answer in (whole, halves, bytewise)]
    check(all(agree(whole, other) for other in (halves, bytewise)), f"the same answers: {statuses}")
    for status in statuses[0]:
        check(status in {100, 200, 202, 304, 400, 403, 404, 405, 406, 413, 415, 424}, f"status {status}")
    return all(status < 400 for status in statuses[0])


def agree(first: bytes, second: bytes) -> bool:
    """Compare answers; a route may answer before it is seen that the payload is malformed, or after.

    Before, the answer is followed by the 400, unless the connection ends with it as the client wished.
    """
    if _statuses(first) == _statuses(second):
        return True
    late, early = sorted((first, second), key=lambda answers: _statuses(answers)[-1:] != [400])
    if _statuses(early)[-1:] == [400]:
        late, early = sorted((first, second), key=lambda answers: len(_statuses(answers)))
        early_statuses = _statuses(early)[:-1]
    else:
        early_statuses = _statuses(early)
        if _CLOSES not in early.rpartition(b"HTTP/1.1 ")[2].lower():
            return False
    return _statuses(late)[-1:] == [400] and early_statuses[:-1] == _statuses(late)[:-1]


def _statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def _headers(data: bytes) -> bool:
    parts = [*data.split(b"\n", 2), b"", b""][:3]
    content_type, accept, attributes = (part.decode("latin-1") for part in parts)
    try:
        make_plan(content_type, accept, attributes, default_accept=JSON, on_error=OnError.REJECT)
    except InvocationError as exc:
        check(len(str(exc)) < 1024, "a short message")
        return False
    return True


def _runtime(data: bytes) -> bool:
    first, *lines = data.split(b"\n")
    found = find_operation(first.decode("latin-1"))
    headers = [(name.lower(), value) for name, _, value in (line.partition(b":") for line in lines)]
    if found is None or any(name == b"content-length" for name, _ in headers):
        return False
    try:
        read_call(*found, headers).to_invocation()
    except ValidationError as exc:
        check(len(str(exc)) < 1024, "a short message")
        return False
    return True


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="segserve-fuzz-"))


def _reads_artifact(path: Path) -> bool:
    try:
        read_artifact(path)
    except (ArtifactError, StoreError) as exc:
        check(len(str(exc)) < 1024, "a short message")
        return False
    return True


def _archive(data: bytes) -> bool:
    """Take the bytes for a tar archive, compressed here: gzip's checksum would stop nearly every change."""
    path = _folder() / "model.tar.gz"
    path.write_bytes(gzip.compress(data[1:], 1) if data[:1] < b"\xf0" else data[1:])
    return _reads_artifact(path)


def _document(data: bytes, *, name: str) -> bool:
    """Put other values into a good document, or take the bytes as they are; digests are made to fit."""
    files = dict(_sealed())
    files[name] = data[1:] if data[:1] < b"\x40" else _changed(files[name], data[1:])
    if name == MODEL:
        manifest = json.loads(files[MANIFEST])
        manifest["files"][MODEL] = {
            "sha256": hashlib.sha256(files[MODEL]).hexdigest(),
            "size": len(files[MODEL]),
        }
        files[MANIFEST] = json.dumps(manifest).encode()
    folder = _folder() / "model"
    folder.mkdir(exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return _reads_artifact(folder)


_VALUES: Final[Sequence[object]] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, -(2**63), 1e308, -1e308, 1e-320, 0.5,
    float("nan"), float("inf"),
    "", "x", "\0", "\ud800", "é" * 200, [], {}, [[]], [None], {"a": 1}, "1", [1, 2], [[1, 2]], "none",
    10**400,
)  # fmt: skip


def _changed(content: bytes, data: bytes) -> bytes:
    """Replace, remove or double a few parts of a JSON document, chosen by the bytes."""
    document = json.loads(content)
    choices = iter(data)
    with suppress(StopIteration):
        for _ in range(len(data)):  # an empty document uses up no choice
            _change(document, choices)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _change(node: Any, choices: Any) -> None:
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = keys[next(choices) % len(keys)]
        if isinstance(node[key], dict | list) and node[key] and next(choices) % 4:
            node = node[key]
            continue
        action = next(choices)
        if action % 8 == 0:
            del node[key]
        elif action % 8 == 1 and isinstance(node, list):
            node.append(copy.deepcopy(node[key]))
        elif action % 8 == 1:
            node[f"{key}x"] = copy.deepcopy(node[key])
        else:
            node[key] = copy.deepcopy(_VALUES[action % len(_VALUES)])
        return


@cache
def _sealed() -> Mapping[str, bytes]:
    provenance = Provenance(python="3", libraries={"numpy": "2"}, git_revision=None, data_digest="0" * 64)
    files = {MODEL: oracle.served().model.to_json()}
    return seal(files, provenance=provenance, created=datetime(2026, 11, 23, tzinfo=UTC))[1]


def _hyperparameters(data: bytes) -> bool:
    path = _folder() / "hyperparameters.json"
    good = json.dumps({"k": "4", "transform": "log1p", "seed": "7", "map": '{"Age": "2026 - Born"}'}).encode()
    path.write_bytes(data[1:] if data[:1] < b"\x80" else _changed(good, data[1:]))
    try:
        read_hyperparameters(path)
    except ConfigurationError as exc:
        check(len(str(exc)) < 1024, "a short message")
        return False
    return True


def _customers(data: bytes, *, ending: str) -> bool:
    path = _folder() / f"customers{ending}"
    path.write_bytes(data)
    try:
        reader = read_customers(path, mapping={})
        for batch in reader.batches():
            check(len(batch.ages) == batch.table.num_rows, "a value for each row")
            check(bool(np.isfinite(batch.ages[batch.is_usable]).all()), "usable values are finite")
        reader.file.line_numbers([row.record for row in reader.file.ragged])
    except DatasetError as exc:
        check(len(str(exc)) < 2048, "a short message")
        return False
    return True


def _texts(*bodies: str) -> list[bytes]:
    return [body.encode() for body in bodies]


def _json_seeds() -> list[bytes]:
    return _texts(
        "[[25, 1250.0]]", "[]", "[[1e3, 0.5], [0, 1E-7]]", "[25, 1250.0]", '{"instances": [[1, 2]]}',
        '[{"Age": 1, "Spending_Power": 2}]', '{"Age": 1, "Income": 2, "Purchases": 0}', '{"inputs": []}',
        '[{"features": [1, 2]}]', "[1, 2]\n[3, 4]\n", "[[NaN, 1]]", "[[1e400, 1]]", "[[true, 1]]", "[" * 300,
        '[["\\ud800", 1]]', "[[1, 2], [3]]", "[[[1, 2]]]", "\ufeff[[1,2]]", "[[-0.0, 2]]",
        "[[123456789012345678901, 1]]",
    )  # fmt: skip


def _csv_seeds() -> list[bytes]:
    return _texts(
        "25,1250.0\n45,3000.5\n", "Age,Spending_Power\n1,2\n", "income,PURCHASES,Gender,Age\n1,2,M,3\n",
        '"1",2\r\n',
        "1,2\r3,4", "\n\n1,2\n", "nan,1\n", "1;2\n", "\ufeffAge,Spending_Power\n", "1e400,1\n", '"1\n',
        "+1,.5\n", "0x1,1\n",
    )  # fmt: skip


def _npy_seeds() -> list[bytes]:
    seeds = []
    for dtype in ("<f8", ">f8", "<f4", "<i8", "|u1", "|b1", "<f2", "<U3"):
        for order in ("C", "F"):
            buffer = io.BytesIO()
            np.save(buffer, np.array([[25, 1250], [45, 3000]], dtype=np.float64).astype(dtype, order=order))
            seeds.append(buffer.getvalue())
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 2), }\n"
    return [*seeds, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"cos\nsystem\n"]


def _kinds_of(*seeds: Sequence[bytes]) -> list[bytes]:
    return [
        bytes([kind, place % len(_ACCEPTS)]) + seed
        for kind, group in enumerate(seeds)
        for place, seed in enumerate(group)
    ]


def _payload_seeds() -> list[bytes]:
    lines = _texts("[1, 2]\n[3, 4]\n", "\n[1,2]\r\n\n", '{"Age": 1}\n')
    return _kinds_of(_json_seeds(), lines, _csv_seeds(), _npy_seeds())


def _http_seeds() -> list[bytes]:
    body = "[[25, 1250.0]]"
    sized = f"Host: a\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    chunked = f"Host: a\r\nTransfer-Encoding: chunked\r\n\r\ne;x\r\n{body}\r\n0\r\nX: y\r\n\r\n"
    return _texts(
        f"POST /invocations HTTP/1.1\r\n{sized}", f"POST /invocations HTTP/1.1\r\n{chunked}",
        f"POST /invocations HTTP/1.1\r\n{sized}GET /ping HTTP/1.1\r\n\r\n", "GET /ping HTTP/1.0\r\n\r\n",
        f"POST /invocations HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n{sized}",
        "GET /x%00 HTTP/1.1\r\n\r\n",
        f"POST /invocations HTTP/1.1\r\nExpect: 100-continue\r\n{sized}",
        "GET http://a/ping HTTP/1.1\r\n\r\n",
        f"POST /endpoints/e/invocations HTTP/1.1\r\nX-Amzn-SageMaker-Inference-Id: a\r\n{sized}", "\r\n\r\n",
        f"POST /endpoints/e/invocations-response-stream HTTP/1.1\r\n{sized}",
        "GET /execution-parameters HTTP/1.1\r\n\r\n",
        "HEAD /ping HTTP/1.1\r\nConnection: close\r\n\r\nGET /ping HTTP/1.1\r\n\r\n",
        "GET /docs/static/../x HTTP/1.1\r\n\r\n",
    )  # fmt: skip


def _archive_seeds() -> list[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(_sealed().items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return [b"\0" + buffer.getvalue(), b"\xff" + gzip.compress(buffer.getvalue())]


def _document_seeds(name: str) -> list[bytes]:
    return [b"\0" + _sealed()[name], *(bytes([255, *range(start, start + 8)]) for start in range(0, 240, 24))]


def _hyperparameter_seeds() -> list[bytes]:
    return [
        b"\0" + b'{"k": "4", "seed": "1"}',
        b"\0" + b'{"map": "Age=2026 - Born"}',
        b"\0[]",
        b"\xff" + bytes(range(9)),
    ]


def _parquet_seeds() -> list[bytes]:
    seeds = []
    for income in (pa.array([1.5, None]), pa.array(["1,5", "x"]), pa.array([1, 2]).dictionary_encode()):
        buffer = io.BytesIO()
        table = pa.table({"Age": [25, 45], "Income": income, "Purchases": [0, 20]})
        pyarrow.parquet.write_table(table, buffer, compression="none")
        seeds.append(buffer.getvalue())
    return seeds


def _customer_seeds() -> list[bytes]:
    texts = _texts(
        "Age,Income,Purchases\n25,50000,3\n45,60000.5,0\n", "Age;Income;Purchases\n25;50.000,5;3\n",
        "Age\tIncome\n1\t2\n",
        'Age,Income,Purchases\n"2\n5",$1 000,3\n1,2\n', "Age,Income,Purchases\n", '"Age,Income\n1,2\n',
        "Age,Age\n1,2\n",
    )  # fmt: skip
    return [
        *texts,
        "Age,Income,Purchases\n25,5,3\n".encode("utf-16"),
        b"Age,Income,Purchases,\xe9\n1,2,3,4\n",
    ]


def _header_seeds() -> list[bytes]:
    return _texts(
        "application/json\ntext/csv;q=0.5, */*\ntrace=1", "text/csv; charset=utf-8\n*/*; detail=full\n",
        "\napplication/json; q=nan, text/*;q=1e5\non_error=placeholder,detail=x",
        'a/b; charset="x\n,;=\n\x00',
    )  # fmt: skip


def _runtime_seeds() -> list[bytes]:
    ours = "x-amzn-sagemaker-"
    return _texts(
        "/endpoints/e/invocations\ncontent-type:text/csv\nauthorization:Credential=a/20261123/eu-west-1/x/",
        f"/endpoints/a-b/async-invocations\n{ours}inputlocation:s3://b/k\n{ours}requestttlseconds:60",
        f"/endpoints/e/invocations-response-stream\n{ours}target-variant:a--b\n{ours}session-id:NEW_SESSION",
    )


def _all(data: bytes) -> bool:
    """Let the first byte choose a target: one process for all of them starts in the time of one."""
    names = list(_EACH)
    return _EACH[names[ord(data[:1] or b"\0") % len(names)]].run(data[1:])


def _all_seeds() -> list[bytes]:
    return [bytes([place]) + seed for place, target in enumerate(_EACH.values()) for seed in target.seeds()]


_EACH: Final[Mapping[str, Target]] = {
    "json": Target(partial(_payload, content_type=JSON, read=oracle.read_json), _json_seeds),
    "csv": Target(partial(_payload, content_type=CSV, read=oracle.read_csv), _csv_seeds),
    "npy": Target(partial(_payload, content_type=NPY, read=oracle.read_npy), _npy_seeds),
    "payload": Target(_any_payload, _payload_seeds),
    "ways": Target(_ways, _payload_seeds),
    "http": Target(_http, _http_seeds, max_bytes=512),
    "headers": Target(_headers, _header_seeds),
    "runtime": Target(_runtime, _runtime_seeds),
    "archive": Target(_archive, _archive_seeds, max_bytes=20_000),
    "manifest": Target(partial(_document, name=MANIFEST), partial(_document_seeds, MANIFEST)),
    "model": Target(partial(_document, name=MODEL), partial(_document_seeds, MODEL)),
    "hyperparameters": Target(_hyperparameters, _hyperparameter_seeds),
    "customers": Target(partial(_customers, ending=".csv"), _customer_seeds),
    "parquet": Target(partial(_customers, ending=".parquet"), _parquet_seeds),
}

TARGETS: Final[Mapping[str, Target]] = {**_EACH, "all": Target(_all, _all_seeds)}
