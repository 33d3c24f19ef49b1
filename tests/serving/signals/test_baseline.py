"""Drift of the traffic from the training data."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.artifact import TRAINING, Artifact, read_artifact
from service.serving.invocation import ServedModel
from service.serving.signals.baseline import (
    MIN_RECORDS,
    Baseline,
    measure_drift,
    read_baseline,
    stability_index,
)
from service.serving.signals.board import Board
from service.serving.signals.entry import Entry
from service.serving.signals.layout import FEATURES, MAX_BINS, SEGMENTS
from service.serving.signals.meter import Meter
from service.store import Store
from tests.conftest import Starter
from tests.serving.conftest import ask

Array = np.ndarray[Any, Any]

EDGES = {"Age": [18.0, 30.0, 45.0, 60.0, 70.0], "Spending_Power": [0.0, 1000.0, 2500.0, 5000.0, 100_000.0]}


def make_document(sample: Array, labels: Array) -> dict[str, Any]:
    """Return a baseline as training writes it."""
    features = {}
    for column, (name, edges) in enumerate(EDGES.items()):
        counts, _ = np.histogram(sample[:, column], bins=edges)
        features[name] = {"edges": edges, "shares": (counts / counts.sum()).tolist()}
    shares = np.bincount(labels) / len(labels)
    segments = {str(key): float(share) for key, share in enumerate(shares)}
    return {"baseline": {"n": len(sample), "features": features, "segment_shares": segments}}


def draw(n: int, *, age: float, seed: int = 5) -> Array:
    random = np.random.default_rng(seed)
    ages = np.clip(random.normal(age, 12, n), 18, 69.9).round()
    return np.column_stack([ages, random.uniform(10, 90_000, n).round(2)])


@pytest.fixture(name="baseline")
def _baseline(served: ServedModel) -> Baseline:
    sample = draw(20_000, age=44)
    document = make_document(sample, served.model.partition.assign(sample))
    found = read_baseline(json.dumps(document).encode())
    assert found is not None
    return found


def send(board: Board, baseline: Baseline, served: ServedModel, records: Array, size: int) -> None:
    """Count records in payloads of some size, as the server does."""
    meter = Meter(board, edges=baseline.edges)
    for start in range(0, len(records), size):
        body = json.dumps(records[start : start + size].tolist()).encode()
        reply = ask(served, body)
        assert reply.status == 200
        meter.count_invocations([Entry(reply, b"", b"", len(body), 0.001, "")])


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_alike_traffic_has_no_drift_and_older_customers_have(
    baseline: Baseline, served: ServedModel, size: int
) -> None:
    """Whether customers come alone, a few, or in payloads of which only a sample is looked at."""
    alike, older = Board(), Board()
    send(alike, baseline, served, draw(5_000, age=44, seed=6), size)
    send(older, baseline, served, draw(5_000, age=60, seed=6), size)
    calm = measure_drift(alike.totals(), baseline)
    moved = measure_drift(older.totals(), baseline)

    assert set(calm.psi) == {"Age", "Spending_Power", "segment"}
    assert max(calm.psi.values()) < 0.1
    assert moved.psi["Age"] > 0.25
    assert moved.psi["Spending_Power"] < 0.1
    assert moved.psi["segment"] > 0.1
    assert moved.records == pytest.approx(5_000, rel=0.1)


def test_bins_are_those_of_numpy(baseline: Baseline, served: ServedModel) -> None:
    """Also on the edges, where whole ages lie."""
    records = np.column_stack([np.arange(18, 70), np.linspace(0, 99_999, 52)])
    expected, _ = np.histogram(records[:, 0], bins=EDGES["Age"])
    few, many = Board(), Board()
    send(few, baseline, served, records, 1)
    send(many, baseline, served, records, 52)

    assert few.totals()[FEATURES][:4].tolist() == expected.tolist()
    assert many.totals()[FEATURES].tolist() == few.totals()[FEATURES].tolist()
    assert many.totals()[SEGMENTS].tolist() == few.totals()[SEGMENTS].tolist()
    assert few.totals()[FEATURES][MAX_BINS:].sum() == 52


def test_too_few_records_say_nothing(baseline: Baseline, served: ServedModel) -> None:
    board = Board()
    send(board, baseline, served, draw(MIN_RECORDS - 1, age=60), 100)

    assert measure_drift(board.totals(), baseline).psi == {}


def test_the_index_is_the_textbook_one() -> None:
    counts = np.array([300, 200, 500], dtype=np.uint64)
    expected = 0.1 * np.log(0.3 / 0.2) + -0.2 * np.log(0.2 / 0.4) + 0.1 * np.log(0.5 / 0.4)

    assert stability_index([0.2, 0.4, 0.4], counts) == pytest.approx(expected)
    assert stability_index([0.5, 0.5], np.array([0, 100], dtype=np.uint64)) > 1


@pytest.mark.parametrize(
    "document",
    [
        {"baseline": {}},
        {"baseline": []},
        {"baseline": {"features": {"Age": {"edges": [1], "shares": [0.5, 0.5]}}, "segment_shares": {}}},
        {
            "baseline": {
                "features": {
                    "Age": {"edges": [2, 1], "shares": [0.5, 0.2, 0.3]},
                    "Spending_Power": {"edges": [1], "shares": [0.5, 0.5]},
                },
                "segment_shares": {"0": 1},
            }
        },
        {
            "baseline": {
                "features": {
                    "Age": {"edges": [1, 2], "shares": [0.5]},
                    "Spending_Power": {"edges": [1], "shares": [0.1] * 9},
                },
                "segment_shares": {"0": 1},
            }
        },
        7,
    ],
)
def test_a_baseline_that_cannot_be_read_costs_the_gauge_alone(
    document: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_baseline(json.dumps(document).encode()) is None
    assert "Drift is not measured" in caplog.text


def test_an_older_model_has_no_baseline(caplog: pytest.LogCaptureFixture) -> None:
    assert read_baseline(b"{}") is None
    assert caplog.text == ""


def test_inner_edges_are_read_like_outer_ones() -> None:
    def document(edges: list[float]) -> bytes:
        feature = {"edges": edges, "shares": [0.2, 0.3, 0.5]}
        features = {"Age": feature, "Spending_Power": feature}
        return json.dumps({"baseline": {"features": features, "segment_shares": {"0": 1.0}}}).encode()

    outer, inner = read_baseline(document([0, 1, 2, 3])), read_baseline(document([1, 2]))

    assert outer == inner
    assert inner is not None
    assert inner.edges == ((1.0, 2.0), (1.0, 2.0))


def test_a_server_shows_the_drift_of_its_traffic(
    start: Starter, tmp_path: Path, store_path: Path, artifact: Artifact, served: ServedModel
) -> None:
    """At /metrics and /live, with a model whose training wrote a baseline."""
    sample = draw(20_000, age=44)
    training = {
        **json.loads(artifact.files[TRAINING]),
        **make_document(sample, served.model.partition.assign(sample)),
    }
    files = {**read_artifact(Store(store_path).resolve()).files, TRAINING: json.dumps(training).encode()}
    Store(tmp_path / "models").add(files, provenance=artifact.manifest.provenance)
    server = start("--store", str(tmp_path / "models"), "--workers", "2")
    for seed in range(4):
        body = json.dumps(draw(2_000, age=62, seed=seed).tolist()).encode()
        assert httpx.post(f"{server.url}/invocations", content=body).status_code == 200
    metrics = httpx.get(f"{server.url}/metrics").text
    psi = httpx.get(f"{server.url}/live").json()["drift"]["psi"]

    assert psi["Age"] > 0.25
    assert psi["Spending_Power"] < 0.1
    assert f'segserve_drift_psi{{feature="Age"}} {psi["Age"]}' in metrics
    assert server.stop() == 0
