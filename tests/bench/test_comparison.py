"""The comparison measures real servers, and leaves out who cannot start or answers otherwise."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.peers.comparison import Comparison, Plan
from bench.peers.contenders import CONTENDERS, Contender, Kind, Media
from bench.peers.model import make_model
from bench.peers.results import Results
from bench.peers.starting import Model
from bench.peers.workloads import BULK, Workload

OURS, HELLO, COPY, FASTAPI_HELLO = (
    next(one for one in CONTENDERS if one.name == name)
    for name in ("segserve", "hello", "copy", "fastapi-hello")
)
NPY = Workload(10_000, 2, Media.NPY)
BOTH = Workload(10_000, 2, workers=2, is_free=True)


@pytest.fixture(name="model", scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp("model"))


def run(folder: Path, model: Model, *contenders: Contender, minutes: float = 60) -> Results:
    plan = Plan(contenders, (BULK, NPY), (BOTH,), 2, 0.2, minutes, has_readers=False, ping_s=0)
    results = Results("", {}, plan.seconds)
    Comparison(folder, model=model, plan=plan, results=results, cache=folder, log=lambda _: None).run()
    return results


def test_each_server_is_measured_in_each_round_under_what_it_takes(tmp_path: Path, model: Model) -> None:
    results = run(tmp_path, model, OURS, HELLO, COPY, FASTAPI_HELLO)

    assert results.skipped == {}
    assert sorted((one.workload, one.server, one.round) for one in results.samples) == sorted(
        (workload.name, server, number)
        for workload, servers in (
            (BULK, ("segserve", "hello")),
            (NPY, ("segserve", "copy")),
            (BOTH, ("segserve", "hello")),
        )
        for server in servers
        for number in (1, 2)
    )
    assert all(one.requests >= 2 and 0 < one.p50_ms <= one.p999_ms for one in results.samples)
    assert sum(one.cpu_s for one in results.of(BULK.name, "segserve")) > 0
    assert sorted((one.server, one.round) for one in results.starts) == sorted(
        (name, number) for name in ("segserve", "hello", "copy", "fastapi-hello") for number in (1, 2)
    )
    assert all(one.start_s > 0 and one.memory_mb > 5 for one in results.starts)
    assert results.servers[0].versions["segserve"]


def test_who_differs_or_cannot_run_is_left_out_and_time_bounds_the_rounds(
    tmp_path: Path, model: Model
) -> None:
    other = replace(HELLO, name="other", kind=Kind.PEER)
    lacking = replace(HELLO, name="lacking", programs=("no-such-program",))
    ending = replace(HELLO, name="ending", command=("python", "-c", "print('this ends at once')"))
    results = run(tmp_path, model, OURS, other, lacking, ending, minutes=0.001)

    assert results.skipped["other"] == "JSON: 1 labels for 10,000 records"
    assert results.skipped["lacking"] == "no-such-program is not installed"
    assert "this ends at once" in results.skipped["ending"]
    assert {(one.server, one.round) for one in results.samples} == {("segserve", 1)}
    assert {one.round for one in results.starts} == {1}
