"""What a server with the kernel loads: neither numpy nor simdjson, however large plain payloads are."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.serving.records import npy_dtype
from tests.conftest import DEADLINE_S, start_server
from tests.serving.conftest import CSV, JSON, JSON_LINES, NPY, npy

N = 60_000
"""Records: their payloads are answered in a thread."""

PLAIN = {
    JSON: b"[" + b",".join([b"[25, 1250.0]"] * N) + b"]",
    JSON_LINES: b"[25, 1250.0]\n" * N,
    CSV: b"25,1250.0\n" * N,
    NPY: npy(np.full((N, 2), 25.0)),
}
FEW = {JSON: b"[" + b",".join([b"[25, 1250.0]"] * 300) + b"]", NPY: npy(np.full((2, 2), 25.0))}


def libraries(pid: int) -> set[str]:
    """Return which of both a process has mapped: the file of each module that is compiled."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in ("numpy", "simdjson", "segserve_kernel") if name in maps}


def test_a_server_with_the_kernel_answers_plain_payloads_without_numpy(
    extension: Any, store_path: Path, tmp_path: Path
) -> None:
    del extension
    server = start_server(tmp_path, "--store", str(store_path), SERVICE_KERNEL="on")
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        for payloads in (FEW, PLAIN):
            for content_type, body in payloads.items():
                for accept in (JSON, CSV, NPY):
                    headers = {"content-type": content_type, "accept": accept}
                    assert client.post("/invocations", content=body, headers=headers).status_code == 200
                assert client.get("/ping").status_code == 200
        plain = libraries(server.process.pid)
        # What is not plain is answered all the same, small or large, and loads what that takes.
        few = client.post("/invocations", content=b'[{"Age": 25, "Spending_Power": 1250.0}]')
        many = client.post("/invocations", content=PLAIN[JSON], headers={"accept": f"{JSON}; detail=full"})
        again = client.post("/invocations", content=b'[{"Age": 25, "Spending_Power": 1250.0}]')
        careful = libraries(server.process.pid)

        assert client.get("/ping").status_code == 200
    assert server.stop() == 0
    assert plain == {"segserve_kernel"}
    assert careful == {"numpy", "simdjson", "segserve_kernel"}
    assert few.content == again.content
    assert len(many.json()["predictions"]) == N


@pytest.mark.parametrize("order", "<>|=")
@pytest.mark.parametrize("kind", "fiu")
def test_numbers_are_named_as_numpy_names_them(order: str, kind: str) -> None:
    for digits in (*map(str, range(100)), *(f"0{digit}" for digit in range(10))):
        name = f"{order}{kind}{digits}"
        try:
            dtype = np.dtype(name)
        except TypeError:
            assert npy_dtype(name) is None, name
        else:
            assert npy_dtype(name) == (dtype.str, dtype.itemsize), name


@pytest.mark.parametrize(
    "name", ["f8", "<f8 ", "<c16", "|O", "<U3", "<f٨", 8, None, ("<f8",), [("a", "<f8")]]
)
def test_nothing_else_is_a_number(name: object) -> None:
    assert npy_dtype(name) is None
