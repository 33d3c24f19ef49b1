"""Hold what was found against what is promised."""

from dataclasses import dataclass
from typing import Final

from bench.soak.connections import Churn, Idle
from bench.soak.overload import Overload
from bench.soak.steady import Steady

MAX_GROWTH_MB_PER_H: Final = 12.0
MAX_GROWTH_MB: Final = 16.0
"""Where the time is too short for a slope."""
MAX_RISE: Final = 1.5
"""Of the 99th percentile, from the first third of the time to the last."""
MIN_GOOD: Final = 0.6
"""Of what the server can do, while ten times as much is asked; refusing takes some of it."""
MAX_PING_S: Final = 2.0
"""SageMaker's patience (C14)."""
MAX_REFUSAL_S: Final = 2.0
"""As long as an answer may take there: a refusal that comes later would be no better than none."""
MAX_IDLE_KIB: Final = 16.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold a promise, and whether it is kept."""

    part: str
    promise: str
    found: str
    holds: bool


def steady_verdicts(part: str, steady: Steady, *, is_long: bool) -> list[Verdict]:
    """Return what holds of a stretch of load; latency and slope need a long one."""
    wrong = sum(steady.tally.wrong.values())
    first, last = steady.looks[0], steady.looks[-1]
    memory = steady.memory
    rate = steady.tally.answered / steady.seconds
    found = f"{steady.tally.answered:,} answers, {rate:,.0f}/s, {steady.cores:.2f} cores, {wrong} wrong"
    samples = "; ".join(f"{count} x {name}" for name, count in steady.tally.wrong.most_common(3))
    verdicts = [
        Verdict(part, "every answer is right", f"{found} {samples}".strip(), wrong == 0),
        Verdict(
            part,
            "no file or thread more",
            f"files {first.files} to {last.files}, threads {first.threads} to {last.threads}",
            last.files <= first.files + 2 and last.threads <= first.threads + 1,
        ),
    ]
    slope = f"{memory.per_h:+.1f} ± {memory.error_per_h:.1f} MiB/h"
    levels = f"{first.pss_mb:.1f} to {last.pss_mb:.1f} MiB"
    if is_long:
        holds = memory.per_h - 2 * memory.error_per_h < MAX_GROWTH_MB_PER_H
        verdicts.append(Verdict(part, "memory stays level", f"{slope}, {levels}", holds))
        for name, is_large in (("small", False), ("large", True)):
            before, after = (steady.p99_ms(third, is_large=is_large) for third in (0, 2))
            found = f"{before:.1f} to {after:.1f} ms"
            verdicts.append(Verdict(part, f"p99 of {name} stays level", found, after <= MAX_RISE * before))
    else:
        grown = f"{steady.grown_mb:+.1f} MiB, {levels}"
        verdicts.append(Verdict(part, "memory stays level", grown, steady.grown_mb < MAX_GROWTH_MB))
    return verdicts


def overload_verdicts(over: Overload) -> list[Verdict]:
    """Return what holds while ten times as much is asked as can be answered."""
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(over.statuses.items()))
    good = over.answered_per_s / over.capacity_per_s
    slowest_s = max(over.took_s.get(503, [0.0]))
    return [
        Verdict(
            "overload",
            "answers are 200, or 503 with Retry-After",
            f"{over.asked} asked: {statuses}; {over.unanswered} unanswered",
            set(over.statuses) == {200, 503} and over.without_retry_after == over.unanswered == 0,
        ),
        Verdict(
            "overload",
            "refusals come early",
            f"slowest 503 {slowest_s:.2f} s",
            slowest_s < MAX_REFUSAL_S,
        ),
        Verdict(
            "overload",
            "work goes on",
            f"{over.answered_per_s:.1f} of {over.capacity_per_s:.1f} answers/s ({good:.0%})",
            good >= MIN_GOOD,
        ),
        Verdict(
            "overload",
            "/ping answers",
            f"slowest of {len(over.pings_s)}: {max(over.pings_s):.2f} s; peak {over.peak_mb:.0f} MiB",
            over.failed_pings == 0 and max(over.pings_s) < MAX_PING_S,
        ),
    ]


def churn_verdicts(churn: Churn) -> list[Verdict]:
    """Return what holds after a connection for every request."""
    grown_mb = churn.after.pss_mb - churn.before.pss_mb
    left = churn.after.files - churn.before.files
    rate = churn.connections / churn.seconds
    return [
        Verdict(
            "churn",
            "nothing is lost or left",
            f"{churn.connections:,} connections, {rate:,.0f}/s, {churn.failed} failed, "
            f"{left} files left, {grown_mb:+.1f} MiB",
            churn.failed == 0 and left <= 0 and grown_mb < MAX_GROWTH_MB,
        )
    ]


def idle_verdicts(idle: Idle) -> list[Verdict]:
    """Return what holds beside connections that say nothing."""
    return [
        Verdict(
            "idle",
            "others are answered",
            f"{idle.connections:,} idle, {idle.refused} refused, {idle.kib_each:.1f} KiB each; "
            f"others p99 {idle.p99_ms:.1f} ms, {idle.failed} failed; {idle.files_left} files left",
            idle.refused == idle.failed == 0 and idle.files_left <= 0 and idle.kib_each < MAX_IDLE_KIB,
        )
    ]
