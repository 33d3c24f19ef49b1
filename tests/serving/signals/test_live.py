"""The console's numbers: totals, the last minutes, a series."""

import time
from pathlib import Path

import httpx
import pytest

from service.serving.signals.layout import DURATIONS_S
from service.serving.signals.live import estimate_quantile
from tests.conftest import Starter, wait_until

N_BUCKETS = len(DURATIONS_S) + 1


def test_live_shows_what_happened_and_when(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), "--workers", "2")
    for _ in range(6):
        assert (
            httpx.post(f"{server.url}/invocations", content=b"[[25, 1250.0], [70, 5.5]]").status_code == 200
        )
    assert httpx.post(f"{server.url}/invocations", content=b"x").status_code == 400
    document = httpx.get(f"{server.url}/live").json()

    assert document["total"]["requests"] == document["window"]["requests"] == 7
    assert document["total"]["errors"] == 1
    assert document["total"]["statuses"] == {"200": 6, "400": 1}
    assert sum(document["total"]["records"].values()) == 12
    assert document["workers"] == 2
    assert document["drift"] == {"records": 12, "psi": {}}  # too few to say more
    assert [segment["id"] for segment in document["segments"]] == [0, 1, 2, 3]
    assert 0 < document["total"]["p50_ms"] <= document["total"]["p95_ms"] <= document["total"]["p99_ms"]
    assert sum(step["requests"] for step in document["series"]) == 7
    # Snapshots follow by themselves.
    wait_until(lambda: len(httpx.get(f"{server.url}/live").json()["series"]) >= 3, what="two snapshots")
    series = httpx.get(f"{server.url}/live").json()["series"]
    assert [step["time"] for step in series] == sorted(step["time"] for step in series)
    assert abs(series[-1]["time"] - time.time()) < 30
    assert sum(step["requests"] for step in series) == 7
    assert server.stop() == 0


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_lies_in_its_bucket(share: float) -> None:
    counts = [0] * N_BUCKETS
    counts[7], counts[9] = 90, 10
    found = estimate_quantile(counts, share)

    assert found is not None
    low, high = (DURATIONS_S[6], DURATIONS_S[7]) if share <= 0.9 else (DURATIONS_S[8], DURATIONS_S[9])
    assert low < found <= high
    assert found == pytest.approx(
        low * (high / low) ** (share / 0.9 if share <= 0.9 else (share - 0.9) / 0.1)
    )


def test_a_quantile_needs_requests_and_knows_its_ends() -> None:
    nothing = [0] * N_BUCKETS

    assert estimate_quantile(nothing, 0.5) is None
    assert estimate_quantile([*nothing[:-1], 4], 0.5) == DURATIONS_S[-1]
    lowest = estimate_quantile([4, *nothing[1:]], 1.0)
    assert lowest == pytest.approx(DURATIONS_S[0])
