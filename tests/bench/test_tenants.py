"""The measurement of many tenants really loads, unloads and asks their models."""

import pytest

from bench.tenants import measure


@pytest.mark.timing
def test_models_are_loaded_and_turned_over() -> None:
    found = measure(models=200, requests=300)

    assert [step.models for step in found.steps] == [0, 40, 80, 120, 160, 200]
    assert found.stopped == "all were loaded"
    assert found.steps[-1].cpu_s > found.steps[0].cpu_s
    assert found.archive_bytes > 500
    turnover = found.turnover
    assert (turnover.tenants, turnover.cached) == (200, 20)
    assert turnover.hit_rate == pytest.approx(turnover.expected_hit_rate, abs=0.1)
    assert 0 < turnover.hit_ms < turnover.miss_ms
