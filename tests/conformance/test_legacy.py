"""C87 to C95 and C131 to C143: the container that came before, and the traps of our stack."""

import io
import json
import pickle
import re

import numpy as np
import pytest

from tests.conformance.containers import ContainerTarget
from tests.conformance.targets import Server
from tests.conformance.trees import CSV_RECORDS, GROUPS, RECORDS
from tests.conformance.wire import CSV, JSON, JSON_LINES, NPY, ask, invoke, status_of


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=array.dtype.kind == "O")
    return file.getvalue()


@pytest.mark.clause("C89")
def test_c89_the_number_of_workers_can_be_set(tuned_server: Server) -> None:
    assert tuned_server.running.process_count() >= 2


@pytest.mark.clause("C90")
def test_c90_the_three_routes_are_there_and_others_are_not(server: Server) -> None:
    assert status_of(server.address, "/ping") == 200
    assert status_of(server.address, "/execution-parameters") == 200
    assert status_of(server.address, "/invocations") == 405
    assert status_of(server.address, "/pingpong") == 404


@pytest.mark.clause("C91")
def test_c91_a_charset_and_a_flat_list_are_taken(server: Server) -> None:
    expected = invoke(server.address, RECORDS).json()

    assert invoke(server.address, RECORDS, "application/json; charset=utf-8").json() == expected
    assert invoke(server.address, json.dumps(GROUPS[0]).encode()).json() == expected[:1]


@pytest.mark.clause("C92", "C143")
def test_c92_labels_look_as_they_always_did(server: Server) -> None:
    as_json = invoke(server.address, RECORDS, JSON, JSON)
    as_csv = invoke(server.address, RECORDS, JSON, CSV)
    as_npy = np.load(io.BytesIO(invoke(server.address, RECORDS, JSON, NPY).body), allow_pickle=False)

    assert re.fullmatch(rb"\[\d, \d, \d, \d\]", as_json.body)
    assert as_csv.body == b"".join(b"%d\n" % label for label in as_json.json())
    assert (as_npy.dtype.str, as_npy.tolist()) == ("<i4", as_json.json())


@pytest.mark.clause("C94", "C143")
@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f8", "<i4", "<i8", "<u2"])
def test_c94_arrays_of_any_kind_of_number_are_read(server: Server, kind: str) -> None:
    expected = invoke(server.address, RECORDS).json()
    array = np.array(GROUPS, dtype=kind)

    for body in (npy(array), npy(np.asfortranarray(array))):
        assert invoke(server.address, body, NPY).json() == expected


@pytest.mark.clause("C95")
def test_c95_nothing_is_unpickled(server: Server) -> None:
    objects = npy(np.array([[25, 1000]], dtype=object))

    assert invoke(server.address, objects, NPY).status == 400
    assert invoke(server.address, pickle.dumps(GROUPS), NPY).status == 400


@pytest.mark.clause("C133")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b"[[NaN,1]]"),
        (JSON, b"[[1e999,1]]"),
        (JSON, b"[[-Infinity,1]]"),
        (JSON_LINES, b"[Infinity,1]\n"),
        (CSV, b"nan,1\n"),
        (CSV, b"1e999,1\n"),
        (NPY, npy(np.array([[np.nan, 1.0]]))),
    ],
)
def test_c133_numbers_that_are_not_finite_are_refused(server: Server, content_type: str, body: bytes) -> None:
    assert invoke(server.address, body, content_type).status == 400


@pytest.mark.clause("C134")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[[1,2],[3]]", b"[[1,2,3]]", b'[["a",1]]', b"[[true,1]]", b"[[null,1]]", b"3", b'"a"', b"{}",
     b'{"instances": 3}', b"[[[1,2]]]", b"\xff\xfe"],
)  # fmt: skip
def test_c134_shapes_that_are_no_records_are_refused(server: Server, body: bytes) -> None:
    assert invoke(server.address, body).status == 400


@pytest.mark.clause("C134")
def test_c134_no_records_get_no_labels(server: Server) -> None:
    answer = invoke(server.address, b"[]")

    assert (answer.status, answer.json()) == (200, [])


@pytest.mark.clause("C135")
@pytest.mark.parametrize("path", ["/ping/", "/invocations/"])
def test_c135_a_trailing_slash_is_not_redirected(server: Server, path: str) -> None:
    assert ask(server.address, "GET", path).status == 404


@pytest.mark.clause("C125")
@pytest.mark.parametrize(
    "header", [b"Age,Colour\n", b",Age,Spending_Power\n0,", b"a,b\n"], ids=["unknown", "index", "foreign"]
)
def test_c125_a_header_that_means_nothing_is_refused_clearly_or_read_by_name(
    server: Server, header: bytes
) -> None:
    answer = invoke(server.address, header + CSV_RECORDS[: CSV_RECORDS.index(b"\n") + 1], CSV)

    assert answer.status in {200, 400}
    if header.startswith(b","):
        return
    assert answer.status == 400
    assert re.search("header|Spending_Power|record 0", answer.json()["error"]["message"])


@pytest.mark.clause("C119")
def test_c119_no_proxy_answers_before_the_server_does(
    server: Server, batch_server: Server, tuned_server: Server
) -> None:
    for one in (server, batch_server, tuned_server):
        assert one.first_statuses <= {200, 503}


@pytest.mark.clause("C115")
def test_c115_the_image_s_manifest_is_docker_s(container: ContainerTarget) -> None:
    descriptor = container.inspect().get("Descriptor")
    if descriptor is None:
        pytest.skip("this engine's image store has no manifest, and pushes nothing but schema 2")

    assert descriptor["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
