"""A simulated day shows what a policy bears, what it costs, and what to set where it fails."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.aws.scaling import scaling_calls
from service.aws.unit import Hosting as AwsHosting
from service.aws.unit import new_unit
from service.cli import run
from service.simulation.advice import advise
from service.simulation.day import Day, Hosting, Method, simulate
from service.simulation.plot import draw
from service.simulation.service_times import constant, read_service_times
from service.simulation.tenants import LruCache, draw_tenants, hit_rate, zipf_shares
from service.simulation.traffic import Traffic
from service.tracking import TargetTracking

SPIKE = Traffic(peak=400, trough=0.5, hours=6, spike=6, spike_hour=2, spike_minutes=30)
HOSTING = Hosting(times=constant(0.01), workers=2, hourly=0.23)
"""200 requests a second and instance, 12,000 a minute."""


@pytest.fixture(name="flooded", scope="module")
def _flooded() -> Day:
    return simulate(SPIKE, HOSTING, TargetTracking(1, 20, 7200), seed=1, method=Method.FLUID)


def test_what_comes_is_answered_throttled_or_lost() -> None:
    day = simulate(SPIKE, replace(HOSTING, quota=500), TargetTracking(1, 3, 7200), seed=1)

    assert day.requests == pytest.approx(SPIKE.rates().sum(), rel=0.01)
    assert (
        day.throttled == sum(max(minute.requests - 30_000, 0) for minute in day.minutes) or day.throttled > 0
    )
    assert all(minute.instances <= 3 for minute in day.minutes)
    assert day.instance_hours == pytest.approx(sum(minute.billed for minute in day.minutes) / 60)
    assert day.cost == pytest.approx(day.instance_hours * 0.23)


def test_a_spike_is_lost_until_instances_come_and_the_advice_prevents_it(flooded: Day) -> None:
    """Three minutes above the target, one of delay, five to start."""
    assert flooded.failed > 0
    assert flooded.p999_ms > 10_000
    assert flooded.reaction_s is not None
    assert 500 <= flooded.reaction_s <= 660
    (sentence,) = [line for line in advise(flooded) if "faster than the policy" in line]
    least = int(sentence.split("--min ")[1].split(",")[0])

    held = simulate(SPIKE, HOSTING, TargetTracking(least, 20, 7200), seed=1, method=Method.FLUID)

    assert held.failed == 0
    assert held.p99_ms < 200
    before = flooded.minutes[100]
    assert before.p99_ms is not None
    assert before.p99_ms < 60


def test_a_lower_target_that_is_advised_bears_the_spike_too(flooded: Day) -> None:
    (sentence,) = [line for line in advise(flooded) if "faster than the policy" in line]
    target = float(sentence.split("--target ")[1].split(" ")[0])

    held = simulate(SPIKE, HOSTING, TargetTracking(1, 40, target), seed=1, method=Method.FLUID)

    assert held.failed == 0


def test_the_same_seed_gives_the_same_day_and_both_methods_nearly_the_same(flooded: Day) -> None:
    traffic = replace(SPIKE, peak=40)
    hosting = replace(HOSTING, times=constant(0.1))
    policy = TargetTracking(1, 20, 720)
    fluid, again, events = (
        simulate(traffic, hosting, policy, seed=3, method=method)
        for method in (Method.FLUID, Method.FLUID, Method.EVENTS)
    )

    assert fluid == again
    assert [minute.instances for minute in fluid.minutes] == [minute.instances for minute in events.minutes]
    assert fluid.failed == pytest.approx(events.failed, rel=0.05)
    assert fluid.p50_ms == pytest.approx(events.p50_ms, rel=0.1)
    assert fluid.p99_ms == pytest.approx(events.p99_ms, rel=0.1)
    assert flooded.method is Method.FLUID


def test_a_maximum_that_is_too_low_is_said() -> None:
    day = simulate(SPIKE, HOSTING, TargetTracking(1, 3, 7200), seed=1, method=Method.FLUID)

    assert any("--max 3 was reached" in line for line in advise(day))


def test_the_policy_is_the_one_that_autoscale_writes() -> None:
    unit = new_unit(
        "shop", version="v1", image="i", role="r", model_data="s3://b/m.tar.gz", hosting=AwsHosting(), tags={}
    )
    policy = TargetTracking(2, 9, 1234.0)

    registered, put = scaling_calls(unit, minimum=2, maximum=9, target=1234.0)

    written = put.parameters["TargetTrackingScalingPolicyConfiguration"]
    assert registered.parameters["MinCapacity"] == policy.minimum
    assert registered.parameters["MaxCapacity"] == policy.maximum
    assert written["TargetValue"] == policy.target
    assert written["ScaleOutCooldown"] == policy.scale_out_cooldown_s
    assert written["ScaleInCooldown"] == policy.scale_in_cooldown_s


def test_the_chart_is_an_image_that_stands_alone(flooded: Day) -> None:
    chart = draw(flooded)

    root = ET.fromstring(chart)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert chart.count("<polyline") >= 8
    assert "nan" not in chart


def test_the_command_tells_people_and_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "day.svg"
    options = [
        "simulate",
        "--peak",
        "50",
        "--hours",
        "2",
        "--spike",
        "3",
        "--spike-at",
        "1",
        "--plot",
        str(plot),
    ]

    assert run(options) == 0
    text = capsys.readouterr().out
    assert run([*options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert "hours of ml.m5.xlarge: $" in text
    assert "Advice: --target 1000" in text
    assert plot.read_text().startswith("<svg")
    assert len(document["minutes"]) == 120
    assert document["policy"]["scale_out_cooldown_s"] == 60
    assert document["prices_as_of"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--peak", "0"], "--peak 0 is not accepted: it should be 0.001 to 1e+08"),
        (["--peak", "nan"], "--peak nan is not accepted"),
        (["--trough", "2"], "--trough 2 is not accepted: it should be 0 to 1"),
        (
            ["--spike", "2", "--spike-at", "30"],
            "--spike-at 30 is not accepted: it should be 0 to below 24 hours",
        ),
        (["--workers", "0"], "--workers 0 is not accepted"),
        (["--start-minutes", "inf"], "--start-minutes"),
        (["--patience", "0"], "--patience 0 is not accepted"),
        (["--quota", "0"], "--quota 0 is not accepted"),
        (["--min", "0"], "--min 0 is not accepted: 1 or more, and 0 only of an asynchronous endpoint"),
        (["--min", "5", "--max", "4"], "--max 4 is not accepted: it should be at least 5"),
        (["--max", "1000000"], "--max 1000000 is not accepted: at most 100000 are simulated"),
        (["--records", "7"], "--records 7 is not accepted: measured.json has payloads of 1, 10000 records"),
        (["--bench", "missing.json"], "--bench missing.json cannot be read"),
        (["--bench", __file__], "is not JSON: it should be from segserve bench --json"),
        (["--method", "guess"], "--method 'guess' is not accepted: it should be one of auto, events, fluid"),
    ],
)
def test_what_is_not_accepted_is_said_in_one_sentence(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["simulate", *options])

    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("content", ["[]", "{}", '{"results": [], "connections": 1}', '{"results": [{}]}'])
def test_a_file_that_is_no_result_of_bench_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    path.write_text(content)

    assert run(["simulate", "--bench", str(path)]) == 2
    assert "is not a result of segserve bench --json" in capsys.readouterr().err


def test_what_comes_with_segserve_is_what_was_published() -> None:
    times = read_service_times(None, records=None)

    figures = (Path(__file__).parents[2] / "docs" / "figures.md").read_text()
    row = next(line for line in figures.splitlines() if line.startswith("| 1 record | segserve |"))
    assert times.per_second(1) == pytest.approx(float(row.split("|")[3].replace(",", "")))


@pytest.mark.parametrize(("exponent", "cached"), [(0.6, 500), (0.9, 2_000), (1.2, 200)])
def test_the_hit_rate_is_that_of_the_cache_itself(exponent: float, cached: int) -> None:
    shares = zipf_shares(20_000, exponent)
    tenants = draw_tenants(shares, 200_000, np.random.default_rng(1)).tolist()
    cache = LruCache(cached)
    hits = [cache.ask(tenant)[0] for tenant in tenants][50_000:]

    assert hit_rate(shares, cached) == pytest.approx(np.mean(hits), abs=0.006)


def test_the_cache_forgets_who_has_not_asked_for_longest() -> None:
    cache = LruCache(2)

    assert [cache.ask(tenant) for tenant in (1, 2, 1, 3, 1)] == [
        (False, None), (False, None), (True, None), (False, 2), (True, None),
    ]  # fmt: skip
