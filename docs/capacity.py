"""Write `capacity.md`: what traffic costs and where the next limit is, from what was measured and its prices."""

import json
import math
from pathlib import Path
from typing import Any, Final

from service.aws.price_table import HOURS_A_MONTH, read_prices
from service.simulation.advice import GOOD_LOAD, suggest_target
from service.simulation.day import Day, Hosting, Method, simulate
from service.simulation.service_times import read_service_times
from service.simulation.tenants import hit_rate, zipf_shares
from service.simulation.traffic import Traffic
from service.tracking import DEFAULT_MAXIMUM, DEFAULT_TARGET, TargetTracking

FIGURES: Final = Path(__file__).with_name("capacity.json")
"""Written by `python -m bench.batching --publish` and `python -m bench.tenants --publish`."""
REGION: Final = "us-east-1"
INSTANCE: Final = "ml.m5.xlarge"
MEMORY_GIB: Final = 16
WORKERS: Final = 2
RATES: Final = (1_000, 100_000, 10_000_000)
TENANTS: Final = 1_000_000

QUOTAS: Final = (
    (
        "instances in service, of all endpoints of an account together (L-7A3DF611)",
        "an account's own; 3 and 20 have been seen in new ones",
        "a request in Service Quotas, days ahead",
        "Service Quotas console",
    ),
    (
        "InvokeEndpoint calls a second",
        "an account's own; no public figure was found",
        "more records a request; more accounts or regions",
        "Service Quotas console",
    ),
    (
        "payload of a real-time endpoint",
        "6 MiB or 25 MB, the pages disagree (C27); some 400,000 records",
        "asynchronous, batch",
        "[contract](contract.md)",
    ),
    ("time for an answer", "60 s (C26)", "asynchronous", "[contract](contract.md)"),
    (
        "serverless",
        "200 calls at once, 6 GB of memory, 4 MB of payload, cold starts",
        "instances",
        "[memory and concurrency](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html), [payload](https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html)",
    ),
    (
        "alarm of a target-tracking policy",
        "3 of 3 minutes to grow, 15 of 15 to shrink",
        "a high-resolution metric (ConcurrentRequestsPerModel), a scheduled action, a lower target",
        "[re:Post](https://repost.aws/questions/QUf450Wsd9RROGGOIwaolN9w/sagemaker-autoscaling-delay)",
    ),
)


def render() -> str:
    """Return the page."""
    figures = json.loads(FIGURES.read_text())
    parts = (
        _basis(),
        _rates(),
        _batching(figures["batching"]),
        _limits(),
        _policies(),
        _tenants(figures["tenants"]),
    )
    return "\n\n".join(parts) + "\n"


def _hosting() -> Hosting:
    price = read_prices().hourly(REGION, INSTANCE)
    assert price is not None
    return Hosting(times=read_service_times(None, records=1), workers=WORKERS, hourly=price)


def _basis() -> str:
    hosting, prices = _hosting(), read_prices()
    return f"""# What traffic costs, and where the next limit is

Written by `make docs` from measurements and prices that have their dates; tests fail when it is stale.

**What it rests on.** One worker answered {hosting.capacity / WORKERS:,.0f} requests of 1 record a second (`{hosting.times.source}`).
An {INSTANCE} has 4 virtual CPUs, which are two cores: we count {WORKERS} workers (`SERVICE_WORKERS={WORKERS}`), each as fast as that one, and
nothing for the second thread of a core. An instance is loaded to {GOOD_LOAD:.0%}. It costs ${hosting.hourly} an hour in {REGION}
(price list of {prices.as_of}). None of this has been measured on AWS: signing, TLS and SageMaker's own router come before the
container, take milliseconds where it takes {hosting.times.mean_s * 1e3:.2f}, and may well be the limit of an instance before the
container is. **Measure one instance with your traffic, then put its figures in**: `segserve simulate --bench FILE`."""


def _rates() -> str:
    hosting = _hosting()
    assert hosting.hourly is not None
    rows = []
    for rate in RATES:
        instances = max(math.ceil(rate / (GOOD_LOAD * hosting.capacity)), 2)
        month = instances * hosting.hourly * HOURS_A_MONTH
        million = month / (rate * 3600 * HOURS_A_MONTH) * 1e6
        rows.append(
            f"| {rate:,} | {instances:,} | ${instances * hosting.hourly:,.2f} | ${month:,.0f} | ${million:.4f} |"
        )
    return "\n".join(
        (
            "## Requests of one record",
            "",
            f"| requests/s, all day | {INSTANCE} | an hour | a month | a million requests |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Two instances at least, so that one may fail. Traffic, logs and storage are not in it.",
            "Traffic that has a night costs less: `segserve simulate` tells how much.",
        )
    )


def _batching(figures: dict[str, Any]) -> str:
    hosting = _hosting()
    assert hosting.hourly is not None
    alone = figures["cpu_ms"]["1"]
    rows = []
    for records, cpu_ms in sorted(figures["cpu_ms"].items(), key=lambda item: int(item[0])):
        customers = int(records) * GOOD_LOAD * WORKERS * 1000 / cpu_ms
        cost = hosting.hourly / 3600 / customers * 1e9
        rows.append(
            f"| {int(records):,} | {cpu_ms:.3f} | {cpu_ms / alone:.1f} × | {customers:,.0f} | ${cost:,.2f} |"
        )
    return "\n".join(
        (
            "## More records a request",
            "",
            "What a caller can do is more than what any instance can: a request costs the same to sign, to carry and",
            "to route whatever it holds, and little more to answer.",
            "",
            "| records a request | CPU ms | to 1 record | customers/s of an instance | 1,000 million customers |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"`{figures['command']}`, {figures['date']}, {figures['machine']}; CPU time, which others' load moves little.",
            f"10,000,000 customers a second in requests of 100 are {10_000_000 // 100:,} requests a second.",
        )
    )


def _limits() -> str:
    rows = [f"| {what} | {limit} | {remedy} | {source} |" for what, limit, remedy, source in QUOTAS]
    return "\n".join(
        (
            "## The next limit",
            "",
            "| limit | is | what helps | source |",
            "|---|---|---|---|",
            *rows,
            "",
            "- **1,000 a second**: none of these. Two instances, for the sake of one that fails.",
            "- **100,000 a second**: calls a second come first, then the quota of instances. Records together in",
            "  requests of 100 make 1,000 of it.",
            "- **10,000,000 a second**: no quota that we know of is meant for it, and hundreds of instances of one type are",
            "  not always to be had. Records together; several endpoints, accounts or regions; or the",
            "  [artifact](data.md#the-artifact) in the caller's own process, which is two subtractions and a comparison.",
            "- **Cold starts**: the container is ready in under a second ([figures](figures.md)); an instance takes minutes,",
            "  which the simulator takes for five. Serverless and the first call of a tenant wait; instances at",
            "  `--min` do not.",
            "- **Between zones**: we assume a millisecond for a round trip, which is many times what an answer takes; two",
            "  instances are in two zones, and callers should keep connections open.",
            "- **Nobody waits for it**: a batch transform job, `segserve score` or [SQL](athena.md) has none of these limits.",
        )
    )


def _policies() -> str:
    hosting = _hosting()
    traffic = Traffic(peak=20_000, spike=6, spike_hour=14, spike_minutes=30)
    target = math.floor(hosting.capacity * 60 * GOOD_LOAD / 100_000) * 100_000
    plain = simulate(traffic, hosting, TargetTracking(1, 20, target), method=Method.FLUID)
    low = math.floor(hosting.capacity * 60 / traffic.spike * 0.95 / 10_000) * 10_000
    days = [
        (
            f"`--min 1 --max {DEFAULT_MAXIMUM} --target {DEFAULT_TARGET:g}`, what `autoscale` has without options",
            None,
        ),
        (f"`--min 1 --max 20 --target {target}`: {GOOD_LOAD:.0%} of an instance", plain),
        (f"`--min 1 --max 20 --target {low}`: room for the spike at all times", _day(traffic, 1, low)),
        (f"`--min 3 --max 20 --target {target}`: three instances at all times", _day(traffic, 3, target)),
    ]
    days[0] = (days[0][0], simulate(traffic, hosting, TargetTracking(), method=Method.FLUID))
    rows = []
    for name, day in days:
        assert day is not None
        lost = (day.failed + day.throttled) / day.requests
        slow = "over 60 s" if day.p999_ms > 59_000 else f"{day.p999_ms:.1f} ms"
        largest = max(minute.instances for minute in day.minutes)
        rows.append(
            f"| {name} | {largest} | {lost:.1%} | {slow} | {day.instance_hours:.0f} | ${day.cost:.2f} |"
        )
    reaction = "" if plain.reaction_s is None else f"{plain.reaction_s / 60:.0f} minutes"
    return "\n".join(
        (
            "## What a scaling policy bears",
            "",
            "```sh",
            "segserve simulate --peak 20000 --spike 6 --spike-at 14 --spike-minutes 30 --min 1 --max 20 \\",
            f"    --target {target} --plot day.svg",
            "```",
            "",
            "A day with a peak of 20,000 requests a second, and at 14 h six times as much for half an hour:",
            "",
            "| policy | most instances | lost | p99.9 | instance hours | a day |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "**Where it fails**: a spike that rises faster than the alarm. Three minutes above the target, about one until the",
            f"figure is there, five for an instance: the first one came {reaction} after the spike had begun. No cooldown changes",
            "that. What is there at that time must bear it: a lower `--target`, a higher `--min` (by a scheduled action, if the",
            "time is known), or callers who try again later. The command says which numbers.",
            "",
            f"`autoscale`'s own target of {DEFAULT_TARGET:g} a minute is careful: an instance takes {hosting.capacity * 60:,.0f}. After a load",
            f"test, raise it; by these figures to {suggest_target(plain):,.0f}.",
            "",
            "The simulator takes the policy that `autoscale` writes, the two alarms that AWS makes of it (InvocationsPerInstance",
            f"above the target in 3 of 3 minutes, below 90 % of it in 15 of 15), its cooldowns of {plain.policy.scale_out_cooldown_s} and",
            f"{plain.policy.scale_in_cooldown_s} seconds, and an endpoint that cannot be changed while it is changing. A request goes to an",
            "instance at random, as is SageMaker's default, and waits for one of its workers. Up to two million requests are",
            "followed one by one; above that, backlogs are a fluid, and samples of every minute are followed. Tests hold the",
            "waits against the formulas of Pollaczek and Khinchine (M/D/1) and of Erlang (M/M/c), and the fluid against",
            "following each request. Assumed, not measured: five minutes to start (`--start-minutes`), a minute until the",
            "alarms see a figure (`--metric-delay`), and that AWS asks for the instances that the last minute's requests need.",
        )
    )


def _day(traffic: Traffic, minimum: int, target: float) -> Day:
    return simulate(traffic, _hosting(), TargetTracking(minimum, 20, target), method=Method.FLUID)


def _tenants(figures: dict[str, Any]) -> str:
    first, last = figures["steps"][0], figures["steps"][-1]
    loaded = last["models"] - first["models"]
    kb = (last["pss_mb"] - first["pss_mb"]) * 1024 / loaded
    cpu_ms = (last["cpu_s"] - first["cpu_s"]) * 1e3 / loaded
    turnover = figures["turnover"]
    room = int((MEMORY_GIB * 0.8 - 0.5) * 1024 * 1024 / kb / WORKERS // 10_000 * 10_000)
    sizes = (10_000, 100_000, 300_000, min(room, TENANTS))
    exponents = (0.6, 0.8, 1.0, 1.2)
    shares = {exponent: zipf_shares(TENANTS, exponent) for exponent in exponents}
    rows = [
        f"| {size:,} | {size * kb / 1024**2:.1f} GB | "
        + " | ".join(f"{hit_rate(shares[exponent], size):.1%}" for exponent in exponents)
        + " |"
        for size in sorted(set(sizes))
    ]
    return "\n".join(
        (
            "## A million tenants in one multi-model endpoint",
            "",
            f"Measured with {loaded:,} models in one worker, each from a `model.tar.gz` of its own of {figures['archive_bytes']:,} bytes:",
            "",
            "| a further model | |",
            "|---|---|",
            f"| memory | {kb:.1f} KB (PSS {first['pss_mb']:.0f} MB without a model, {last['pss_mb']:.0f} MB with {loaded:,}) |",
            f"| load, verified | {cpu_ms:.1f} ms of CPU |",
            "",
            f"Where it stopped: {figures['stopped']}. A server that runs out of memory answers 507, and SageMaker unloads.",
            f"With {turnover['tenants']:,} tenants and room for {turnover['cached']:,}, {turnover['hit_rate']:.1%} of",
            f"{turnover['requests']:,} requests found their model (Zipf {turnover['exponent']:g}; {turnover['expected_hit_rate']:.1%} by the",
            f"approximation below). One took {turnover['hit_ms']:.2f} ms, and {turnover['miss_ms']:.2f} ms when another model had to be unloaded",
            f"and its own loaded first, from the disk. `{figures['command']}`, {figures['date']}, {figures['machine']}.",
            "",
            "How many of the requests find their model in memory, of a million tenants, when the least recently used one",
            "goes; by how uneven they are (Zipf's exponent; 1 is usual, and at 0.6 all are nearly alike):",
            "",
            f"| models in memory | of a worker | {' | '.join(f'{exponent:g}' for exponent in exponents)} |",
            f"|---|---|{'---|' * len(exponents)}",
            *rows,
            "",
            f"An {INSTANCE} has {MEMORY_GIB} GiB. SageMaker keeps a tenant on the instance that has loaded it",
            "([how it works](https://docs.aws.amazon.com/sagemaker/latest/dg/how-multi-mode-endpoints-work.html)), so that more instances",
            f"are more room; each worker has models of its own, so {WORKERS} workers hold some {room:,} each, with a fifth of the memory to spare. What is unloaded stays on",
            "the instance's disk; only a tenant who is new there waits for S3, tens of milliseconds that are not in these",
            f"figures. A million tenants fit {math.ceil(TENANTS / room)} instances. The rates are those of Che's",
            "approximation, which tests hold against the cache itself.",
        )
    )
