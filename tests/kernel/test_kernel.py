"""When the kernel is used, what is said where it cannot be, and that its answers are counted alike."""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from service import compiled
from service.artifact import Artifact
from service.compiled import INTERFACE
from service.errors import ConfigurationError
from service.serving.invocation import ServedModel, answer, plan_invocation
from service.serving.kernel import Kernel, describe_kernel, make_kernel
from service.serving.signals.board import Board
from service.serving.signals.entry import Entry
from service.serving.signals.layout import MAX_BINS
from service.serving.signals.meter import Meter
from service.serving.tally import Tally
from service.settings import KernelUse
from tests.conftest import RunningServer, start_server
from tests.kernel.memory import grown_kb
from tests.serving.conftest import CSV, JSON, JSON_LINES, NPY, npy, run_serve

EDGES = ([20.0, 40.0, 60.0], [500.0, 1000.0, 5000.0])
SIZES = (1, 3, 30, 600, 9_000)


@pytest.fixture(autouse=True)
def _forget() -> Any:
    compiled._import_extension.cache_clear()
    yield
    compiled._import_extension.cache_clear()


@pytest.fixture(name="server", scope="module")
def _server(extension: Any, store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    del extension
    server = start_server(tmp_path_factory.mktemp("kernel"), "--store", str(store_path), SERVICE_KERNEL="on")
    yield server
    assert server.stop() == 0


def records(n: int) -> list[list[float]]:
    generator = np.random.default_rng(n)
    pairs: list[list[float]] = np.column_stack(
        [generator.uniform(18, 90, n).round(1), generator.lognormal(7, 1, n).round(2)]
    ).tolist()
    return pairs


def bodies(n: int) -> dict[str, bytes]:
    pairs = records(n)
    return {
        JSON: json.dumps(pairs).encode(),
        JSON_LINES: "".join(f"{json.dumps(pair)}\n" for pair in pairs).encode(),
        CSV: "".join(f"{age},{power}\n" for age, power in pairs).encode(),
        NPY: npy(np.array(pairs)),
    }


@pytest.mark.parametrize("accept", [JSON, JSON_LINES, CSV, NPY])
def test_a_server_with_the_kernel_answers_as_python_does(
    server: RunningServer, artifact: Artifact, accept: str
) -> None:
    pure = ServedModel(artifact.model, artifact.manifest.model_version)
    with httpx.Client(base_url=server.url) as client:
        for n in SIZES:
            for content_type, body in bodies(n).items():
                headers = {"content-type": content_type, "accept": accept}
                reply = client.post("/invocations", content=body, headers=headers)

                assert reply.status_code == 200
                assert reply.headers["content-type"] == accept
                assert (
                    reply.content == answer(body, plan_invocation(content_type, accept, "", pure), pure).body
                )


def test_a_server_says_that_it_has_the_kernel(server: RunningServer) -> None:
    assert "Compiled kernel on" in server.log.read_text()


def test_a_server_without_it_says_so(store_path: Path, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--store", str(store_path), SERVICE_KERNEL="off")

    assert server.stop() == 0
    assert "Compiled kernel off" in server.log.read_text()


def test_a_server_that_must_have_it_does_not_start_without(
    store_path: Path, tmp_path: Path, extension: Any
) -> None:
    """An extension that does not load stands before the real one."""
    del extension
    (tmp_path / "segserve_kernel.py").write_text("raise ImportError('wrong ELF class')")
    done = run_serve("--store", str(store_path), SERVICE_KERNEL="on", PYTHONPATH=str(tmp_path))

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    assert "SERVICE_KERNEL=on needs the compiled kernel, but it does not load (wrong ELF class)" in said
    assert "run 'make kernel'" in said


def test_a_server_that_may_have_it_starts_without(store_path: Path, tmp_path: Path) -> None:
    (tmp_path / "segserve_kernel.py").write_text("raise ImportError('wrong ELF class')")
    variables = {"SERVICE_KERNEL": "auto", "PYTHONPATH": str(tmp_path)}
    server = start_server(tmp_path, "--store", str(store_path), **variables)

    assert httpx.post(f"{server.url}/invocations", content=b"[[25, 1250.0]]").status_code == 200
    assert server.stop() == 0
    assert "Compiled kernel off (it does not load (wrong ELF class))" in server.log.read_text()


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (None, "it is not installed"),
        (SimpleNamespace(INTERFACE=INTERFACE + 1), "of another version of segserve"),
    ],
)
def test_an_extension_that_is_missing_or_does_not_fit_is_not_used(
    monkeypatch: pytest.MonkeyPatch, artifact: Artifact, found: object, problem: str
) -> None:
    monkeypatch.setitem(sys.modules, compiled.MODULE, found)

    assert make_kernel(artifact.model, KernelUse.AUTO) is None
    assert problem in describe_kernel(KernelUse.AUTO)
    for ask in (lambda: make_kernel(artifact.model, KernelUse.ON), lambda: describe_kernel(KernelUse.ON)):
        with pytest.raises(ConfigurationError, match=problem):
            ask()


def test_an_extension_that_labels_otherwise_is_not_used(
    monkeypatch: pytest.MonkeyPatch, extension: Any, artifact: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(mean: Any, scale: Any, is_log1p: Any, centroids: Any, *rest: Any) -> Any:
        return extension.Labeller(mean, scale, is_log1p, centroids[::-1], *rest)

    parts = {name: getattr(extension, name) for name in dir(extension) if not name.startswith("__")}
    monkeypatch.setitem(sys.modules, compiled.MODULE, SimpleNamespace(**{**parts, "Labeller": wrong}))

    with caplog.at_level(logging.ERROR):
        assert make_kernel(artifact.model, KernelUse.AUTO) is None
    assert "golden records" in caplog.text
    with pytest.raises(ConfigurationError, match="golden records"):
        make_kernel(artifact.model, KernelUse.ON)


def test_the_kernel_is_used_where_it_is_installed(extension: Any, artifact: Artifact) -> None:
    del extension

    assert isinstance(make_kernel(artifact.model, KernelUse.AUTO), Kernel)
    assert isinstance(make_kernel(artifact.model, KernelUse.ON), Kernel)
    assert make_kernel(artifact.model, KernelUse.OFF) is None


@pytest.mark.parametrize("edges", [EDGES, None])
@pytest.mark.parametrize("n", [1, 30, 600, 9_000])
def test_answers_are_counted_as_python_counts_them(
    extension: Any, artifact: Artifact, n: int, edges: tuple[list[float], list[float]] | None
) -> None:
    pure = ServedModel(artifact.model, "v1")
    compiled = replace(pure, kernel=Kernel(extension, artifact.model, edges=edges))
    plan = plan_invocation(CSV, JSON, "", pure)
    totals = []
    for served in (pure, compiled):
        board = Board()
        meter = Meter(board, edges=edges)
        reply = answer(bodies(n)[CSV], plan, served)
        meter.count_invocations([Entry(reply, b"", b"", 1, 0.001, "", None)])
        totals.append(board.totals().tolist())

        assert isinstance(reply.places, Tally) == (served is compiled)
        assert len(reply.places) == n
    assert totals[0] == totals[1]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ((1.0, 2.0), (1.0, 1.0), False, (), (), None, None),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0, 2.0),), (), None, None),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0, 2.0),), (-1,), None, None),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0, 2.0),), (10**9,), None, None),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0, 2.0),), (2**70,), None, None),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0,),), (0,), None, None),
        ((1.0, 2.0), (1.0, 1.0), False, (3.0,), (0,), None, None),
        ((1.0, "2"), (1.0, 1.0), False, ((1.0, 2.0),), (0,), None, None),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0, 2.0),) * 1001, tuple(range(1001)), None, None),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0, 2.0),), (0,), [1.0], None),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0, 2.0),), (0,), None, ("1",)),
        ((1.0, 2.0), (1.0, 1.0), False, ((1.0, 2.0),), (0,), tuple(map(float, range(MAX_BINS))), None),
    ],
)
def test_a_labeller_refuses_what_is_no_model(extension: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        extension.Labeller(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("[[1,2]]", 0, 0, 0, None),
        (b"[[1,2]]", 5, 0, 0, None),
        (b"[[1,2]]", -1, 0, 0, None),
        (b"[[1,2]]", 0, 3, 0, None),
        (b"[[1,2]]", 0, -1, 0, None),
        (b"[[1,2]]", 0, 0, 8, None),
        (b"[[1,2]]", 0, 0, -1, None),
        (b"[[1,2]]", 0, 0, "x", None),
        (b"[[1,2]]", 0, 0, 0),
        (b"1,2", 3, 0, 0, None),
        (b"1,2", 3, 0, 0, b"\x00"),
        (b"12345678", 4, 0, 0, None),
        (b"12345678", 4, 0, 0, 10),
        (b"12345678", 4, 0, 0, -1),
    ],
)
def test_a_labeller_refuses_what_is_no_payload(extension: Any, arguments: tuple[Any, ...]) -> None:
    labeller = extension.Labeller((0.0, 0.0), (1.0, 1.0), False, ((1.0, 2.0),), (0,), None, None)

    with pytest.raises((TypeError, ValueError)):
        labeller.answer(*arguments)


@pytest.mark.usefixtures("extension")
def test_a_labeller_holds_no_memory_after_it() -> None:
    """Answers and models come and go; what they take is given back."""
    grown = grown_kb(
        r'body = b"1.5,2.5\n" * 20_000',
        """
        labeller = kernel.Labeller(
            (0.0, 0.0), (1.0, 1.0), True, ((1.0, 2.0),) * 1000, tuple(range(1000)), (), ()
        )
        assert labeller.answer(body, kernel.READ_CSV, 0, 0, None)[1] == 20_000
        assert labeller.answer(body + b"x", kernel.READ_CSV, 0, 0, None) is None
        """,
    )

    assert grown < 4_000  # a leak of one answer each would be 12 MB
