"""Ask every route of a real server what its description allows, and what it does not (schemathesis)."""

import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable

from fuzz.children import Result
from fuzz.promises import BrokenPromiseError, check
from service.contract import MAX_ERROR_BYTES

ANSWER_S: Final = 5.0
_START_S: Final = 60.0
_BY_DESIGN: Final = {("GET", "/model"): 503, ("POST", "/invocations"): 503}
"""A server of many models has none of its own to describe or to ask."""


def fuzz_routes(store: Path, *, examples: int, random_seed: int) -> list[Result]:
    """Ask both kinds of server; `examples` is for each route and for good and bad data."""
    results = []
    for name, environment in (("routes", {}), ("routes, many models", {"SAGEMAKER_MULTI_MODEL": "true"})):
        with running(store, environment) as (url, log, pid):
            results.append(
                _ask_all(
                    name, url, log, pid, is_many=bool(environment), examples=examples, random_seed=random_seed
                )
            )
    return results


def _ask_all(
    name: str, url: str, log: Path, pid: int, *, is_many: bool, examples: int, random_seed: int
) -> Result:
    started_s = time.monotonic()
    counts: Counter[bool] = Counter()
    failure, asked = "", 0
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # ours is a good description
        asked += 1
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                _ask(operation, mode, counts, is_many=is_many, examples=examples, random_seed=random_seed)
            except BrokenPromiseError as exc:
                failure = f"{operation.label}: {exc}"
    return look(
        name,
        log,
        pid,
        accepted=counts[True],
        refused=counts[False],
        covered=asked,
        seconds=time.monotonic() - started_s,
        failure=failure,
    )


def look(
    name: str, log: Path, pid: int, *, accepted: int, refused: int, covered: int, seconds: float, failure: str
) -> Result:
    """Return what a server has been through, and how that has left it."""
    if "Traceback" in log.read_text():
        failure = f"a trace in the log:\n{log.read_text()[-2000:]}"
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return Result(
        name=name,
        accepted=accepted,
        refused=refused,
        covered=covered,
        peak_mb=int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[0]) // 1024,
        a_second=int((accepted + refused) / seconds),
        failure=failure or ("" if accepted + refused else "nothing was asked"),
    )


def _ask(
    operation: Any, mode: Any, counts: Counter[bool], *, is_many: bool, examples: int, random_seed: int
) -> None:
    @seed(random_seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        started_s = time.monotonic()
        response = case.call(timeout=ANSWER_S * 2)
        key = (operation.method.upper(), operation.path)
        check(
            response.status_code < 500 or (is_many and _BY_DESIGN.get(key) == response.status_code),
            f"status {response.status_code}",
        )
        check(time.monotonic() - started_s < ANSWER_S, "answered in time")
        if response.status_code >= 400:
            check(len(response.content) < MAX_ERROR_BYTES, f"{len(response.content)} bytes in an error")
            check(b"Traceback" not in response.content, "a trace in the answer")
        counts[response.status_code < 400] += 1

    with warnings.catch_warnings(), suppress(Unsatisfiable):  # a route without parameters takes nothing bad
        warnings.simplefilter("ignore")
        ask()


@contextmanager
def running(store: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, Path, int]]:
    """Run a server while the block runs; yield its URL, log and process id."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = ["serve", "--port", "0", "--host", "127.0.0.1", "--store", str(store)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", *command],
                env={**os.environ, **environment, "SERVICE_ASYNC_OUTPUT": f"{folder}/async"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            end_s = time.monotonic() + _START_S
            while not (ready := re.search(r"Ready on (http[^\s\"]+)", log.read_text())):
                if process.poll() is not None or time.monotonic() > end_s:
                    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
                time.sleep(0.05)
            yield ready[1], log, process.pid
        finally:
            process.terminate()
            process.wait(_START_S)
