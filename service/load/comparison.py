"""Measure one or two servers with several payloads, in rounds that measure every server in turn."""

import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from service.contract import INVOCATIONS_PATH
from service.errors import ConfigurationError, LoadError
from service.load.payload import make_payload
from service.load.result import Load, summarize
from service.load.tools import Tool, put_load

_ANSWER_S: Final = 60
_MAX_MESSAGE: Final = 300


@dataclass(frozen=True, slots=True)
class Workload:
    """Say what is posted."""

    name: str
    body: bytes
    content_type: str
    records: int | None
    """None where the payload is the user's own."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Say how hard and how long."""

    tool: Tool
    connections: int
    seconds: int
    rounds: int
    warm_up_s: int
    """0 for none."""


@dataclass(frozen=True, slots=True)
class Result:
    """Hold how one server bore one workload: the median round."""

    url: str
    workload: Workload
    load: Load


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold what was measured."""

    results: Sequence[Result]
    """By workload, then by server."""
    different: Sequence[str]
    """Names of the workloads that the servers answered differently."""


def records_workload(n: int) -> Workload:
    """Return a workload of n customers."""
    name = f"{n:,} record{'' if n == 1 else 's'}"
    return Workload(name, make_payload(n), "application/json", records=n)


def invocations_url(url: str) -> str:
    """Return the URL to post to: that of /invocations where the given one has no path.

    Raises:
        ConfigurationError: It is none of HTTP.
    """
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{url!r} is not accepted: it should be a URL like http://localhost:8080")
    return urlunsplit(parts._replace(path=parts.path if parts.path.strip("/") else INVOCATIONS_PATH))


def compare(
    urls: Sequence[str],
    workloads: Sequence[Workload],
    effort: Effort,
    *,
    on_progress: Callable[[str, int, int], None],
) -> Comparison:
    """Put load on each server with each workload.

    Args:
        urls: Where to post to.
        workloads: What to post.
        effort: How hard and how long.
        on_progress: Called with a stage, the steps done and their total.

    Raises:
        LoadError: A server cannot be reached, or does not answer 200 to a single request.
    """
    answers = {workload.name: [_post(url, workload) for url in urls] for workload in workloads}
    total = len(urls) * len(workloads) * (effort.rounds + bool(effort.warm_up_s))
    done = 0
    results = []
    with tempfile.TemporaryDirectory() as folder:
        body_path = Path(folder) / "body"
        for workload in workloads:
            body_path.write_bytes(workload.body)
            loads: dict[str, list[Load]] = {url: [] for url in urls}
            for number in range(-bool(effort.warm_up_s), effort.rounds):
                # Whoever goes second finds a warmer machine: take turns at it.
                for url in urls if number % 2 == 0 else reversed(urls):
                    seconds = effort.warm_up_s if number < 0 else effort.seconds
                    load = _put_load(url, workload, effort, body_path=body_path, seconds=seconds)
                    done += 1
                    on_progress(workload.name, done, total)
                    if number >= 0:
                        loads[url].append(load)
            results += [Result(url, workload, summarize(loads[url])) for url in urls]
    return Comparison(results, [name for name, given in answers.items() if len(set(given)) > 1])


def describe(comparison: Comparison, effort: Effort) -> dict[str, Any]:
    """Return everything that was measured, for programs."""
    return {
        "tool": effort.tool,
        "connections": effort.connections,
        "seconds": effort.seconds,
        "rounds": effort.rounds,
        "warm_up_s": effort.warm_up_s,
        "results": [
            {
                "url": result.url,
                "workload": result.workload.name,
                "records": result.workload.records,
                "payload_bytes": len(result.workload.body),
                "requests_per_s": result.load.requests_per_s,
                "records_per_s": None
                if result.workload.records is None
                else result.load.requests_per_s * result.workload.records,
                "failed": result.load.failed,
                "latency_ms": {f"p{key:g}": value for key, value in result.load.latencies_ms.items()},
            }
            for result in comparison.results
        ],
        "answers_differ": list(comparison.different),
    }


def _put_load(url: str, workload: Workload, effort: Effort, *, body_path: Path, seconds: int) -> Load:
    return put_load(
        url,
        tool=effort.tool,
        body_path=body_path,
        content_type=workload.content_type,
        connections=effort.connections,
        seconds=seconds,
    )


def _post(url: str, workload: Workload) -> bytes:
    """Return the answer to one request, before thousands of them are wasted on a server that refuses."""
    headers = {"Content-Type": workload.content_type}
    request = urllib.request.Request(url, workload.body, headers)  # noqa: S310  # http or https
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as response:  # noqa: S310
            answer: bytes = response.read()
            status = response.status
    except urllib.error.HTTPError as exc:
        with exc:
            answer, status = exc.read(), exc.code
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        raise LoadError(f"{url} cannot be reached: {reason}") from None
    if status != 200:
        text = answer[:_MAX_MESSAGE].decode(errors="replace")
        raise LoadError(f"{url} answered {status} to {workload.name}: {text}")
    return answer
