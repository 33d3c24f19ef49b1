"""Write docs/peers-load.md and its plots from the raw results of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from bench.peers.chart import Bar, bars
from bench.peers.contenders import Kind
from bench.peers.results import Results, Sample, Server, load_results
from bench.peers.targets import OURS, judge
from bench.peers.workloads import BULK, FREE, LATENCY_COUNT, ONE, PINNED, Workload
from bench.report import RESULTS_DIR
from bench.servers import ROOT

PUBLISHED: Final = RESULTS_DIR / "peers-load.json"
DOCS_DIR: Final = ROOT / "docs"
PAGE: Final = DOCS_DIR / "peers-load.md"

_COLUMNS: Final = (
    "server",
    "requests/s",
    "records/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "CPU µs a request",
    "CPU s a million records",
    "CPU to segserve's",
)

_HEAD: Final = """# Under load, beside other servers

What segserve and the servers that people would pick instead do with the same model, the same records and
the same load, measured in one run, each in turn, round after round. Every server is started as its own
documentation says, and is measured only if its labels of 10,000 records are those of segserve. Written by
`python -m bench.peers page` from [the raw results](../bench/results/peers-load.json);
[how to measure it again](peers-load-how.md).

{when} Figures are medians of the rounds, with the least and the most of them in brackets.
**CPU time is what to trust**: requests a second and latencies are also those of the load generator, which
runs on the core beside.
"""


def write_page(results_path: Path) -> None:
    """Write the page and its plots."""
    for name, content in render(load_results(results_path)).items():
        (DOCS_DIR / name).write_text(content)


def render(results: Results) -> dict[str, str]:
    """Return the content of each file of the page, by its name."""
    plots = {"peers-load-1.svg": ONE, "peers-load-10000.svg": BULK}
    shown = {name: workload for name, workload in plots.items() if results.of(workload.name, OURS)}
    return {
        PAGE.name: "\n".join(
            [*_head(results), *_targets(results), *_load(results, shown), *_starts(results), *_who(results)]
        ),
        **{name: _plot(results, workload) for name, workload in shown.items()},
    }


def _head(results: Results) -> list[str]:
    machine = results.machine
    rounds = sorted({sample.round for sample in results.samples})
    when = (
        f"{results.created[:10]}, {machine['platform']}, {machine['cpus']} cores, "
        f"CPython {machine['python']}, load average {machine['load'][0]:.2f} at the beginning. "
        f"{len(rounds)} round{'s' if len(rounds) > 1 else ''}, {results.seconds:g} s of load each."
    )
    return [_HEAD.format(when=when)]


def _targets(results: Results) -> list[str]:
    rows = [
        (target.name, target.shown, target.floor_text, target.goal_text, target.verdict)
        for target in judge(results)
    ]
    return [
        "## What we aim at",
        "",
        "A peer is any server below but the ceilings; CPU is that of the server's whole process tree.",
        "",
        *_table(("what", "measured", "floor", "goal", ""), rows),
    ]


def _load(results: Results, plots: dict[str, Workload]) -> list[str]:
    lines = ["## Load", ""]
    for workload in (*PINNED, *FREE):
        samples = {server.name: results.of(workload.name, server.name) for server in results.servers}
        if not any(samples.values()):
            continue
        ours = samples.get(OURS) or []
        rows = [
            _cells(server, samples[server.name], ours) for server in results.servers if samples[server.name]
        ]
        lines += [f"### {workload.name[0].upper()}{workload.name[1:]}", ""]
        lines += [
            f"![CPU time a request: {workload.name}]({name})\n"
            for name, one in plots.items()
            if one == workload
        ]
        lines += _table(_COLUMNS, rows)
    return lines


def _cells(server: Server, samples: Sequence[Sample], ours: Sequence[Sample]) -> tuple[str, ...]:
    cpu = {sample.round: sample.request_cpu_us for sample in samples}
    ratios = [cpu[one.round] / one.request_cpu_us for one in ours if one.round in cpu and one.cpu_s]
    looks = server.kind != Kind.CEILING
    few = median(sample.requests for sample in samples)

    def middle(value: Callable[[Sample], float]) -> float:
        return median(value(sample) for sample in samples)

    def latency(value: Callable[[Sample], float], least: int) -> str:
        return _number(middle(value)) if few >= least else "-"

    return (
        server.title,
        _number(middle(lambda sample: sample.requests_per_s)),
        _number(middle(lambda sample: sample.requests_per_s * sample.records)) if looks else "",
        latency(lambda sample: sample.p50_ms, 1),
        latency(lambda sample: sample.p99_ms, LATENCY_COUNT),
        latency(lambda sample: sample.p999_ms, 10 * LATENCY_COUNT),
        _spread([sample.request_cpu_us for sample in samples]),
        _number(middle(lambda sample: sample.million_cpu_s)) if looks else "",
        "" if server.name == OURS or not ratios else f"{_number(median(ratios))} x",
    )


def _starts(results: Results) -> list[str]:
    rows = []
    for server in results.servers:
        starts = [start for start in results.starts if start.server == server.name]
        if starts:
            rows.append(
                (
                    server.title,
                    _spread([start.start_s for start in starts]),
                    _spread([start.memory_mb for start in starts]),
                )
            )
    lines = [
        "## Start and memory",
        "",
        *_table(("server", "start to first 200, s", "memory (PSS), MB"), rows),
    ]
    lines[1:1] = [
        "",
        "One worker, nothing else running; memory after half a second of 10,000-record requests.",
    ]
    if results.pings:
        pings = results.pings
        text = (
            f"Health checks while segserve's only worker scored {pings.bodies} bodies of 25 MB, one of two "
            f"always waiting: p50 {_number(pings.p50_ms)} ms, p99.9 {_number(pings.p999_ms)} ms, "
            f"slowest {_number(pings.slowest_ms)} ms of {pings.count:,}."
        )
        lines += [text, ""]
    if results.readings:
        readers = dict.fromkeys(one.reader for one in results.readings)
        rows = [
            (
                reader,
                _spread([one.wall_s for one in results.readings if one.reader == reader]),
                _spread([one.cpu_s for one in results.readings if one.reader == reader]),
            )
            for reader in readers
        ]
        lines += ["Only reading the CSV of 1,000,000 records into numbers, on one core:", ""]
        lines += _table(("library", "s", "CPU s"), rows)
    return lines


def _who(results: Results) -> list[str]:
    rows = [
        (
            server.title,
            ", ".join(f"{name} {version}" for name, version in server.versions.items()),
            f"`{server.command}`",
            f"`{server.body}`",
            server.note,
        )
        for server in results.servers
    ]
    lines = ["## How each was run", "", *_table(("server", "versions", "command", "JSON", "note"), rows)]
    if results.skipped:
        lines += ["Not measured:", ""]
        lines += [f"- {name}: {' '.join(reason.split())[:200]}" for name, reason in results.skipped.items()]
        lines += [""]
    return lines


def _plot(results: Results, workload: Workload) -> str:
    found = []
    for server in results.servers:
        values = [sample.request_cpu_us for sample in results.of(workload.name, server.name)]
        if values:
            found.append(Bar(server.title, median(values), min(values), max(values), server.kind))
    return bars(
        f"CPU time a request, µs (logarithmic): {workload.name}", sorted(found, key=lambda bar: bar.value)
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        "|---" * len(header) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return _number(values[0])
    return f"{_number(median(values))} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    """Return three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}" if value < 1 else f"{value:.2f}"
