"""Run the clauses that need nothing but a running server's URL."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final

from service.conformance import batch, invocations, multi_model, pings, routes
from service.conformance.clause import Clause, Needs
from service.conformance.clauses import CLAUSES
from service.conformance.samples import DEFAULT_SAMPLES, Sample
from service.conformance.server import BUSY_S, Server
from service.conformance.verdict import Outcome, Verdict, judge
from service.contract import INVOCATION_TIMEOUT_S
from service.errors import ConfigurationError

HTTP_CHECKS: Final[Sequence[tuple[str, Callable[[Server], None]]]] = (
    *pings.CHECKS,
    *invocations.CHECKS,
    *routes.CHECKS,
    *batch.CHECKS,
)
MULTI_MODEL_CLAUSE: Final = "C69"


def run_checks(
    url: str,
    *,
    requests: Sequence[Sample] = (),
    only: Collection[str] = (),
    timeout_s: float = INVOCATION_TIMEOUT_S,
    busy_s: float = BUSY_S,
    model_url: str | None = None,
) -> Iterator[Verdict]:
    """Yield a verdict for each clause that can be judged over HTTP, as soon as it is known.

    Takes about ten seconds for a quick server, three of which keep it as busy as it can be.
    Nothing is imported but the standard library, so this may run inside a server, in a thread of its own.

    Args:
        url: Of the server, for example http://localhost:8080.
        requests: What the server ought to answer; default: what segserve's models take.
        only: Ids of clauses; default: all.
        timeout_s: How long to wait for one answer.
        busy_s: How long to keep the server busy while its pings are timed.
        model_url: Where a server of many models finds one to load; without it C69 is left out.

    Raises:
        ConfigurationError: The URL or an id is no such thing.
    """
    clauses = select(only)
    server = Server(
        url, requests or DEFAULT_SAMPLES, timeout_s=timeout_s, is_default=not requests, busy_s=busy_s
    )
    return _run(server, clauses, model_url)


def check_server(server: Server, clauses: Collection[Clause]) -> Iterator[Verdict]:
    """Yield a verdict for each of these clauses that needs a server only."""
    for clause_id, check in HTTP_CHECKS:
        if CLAUSES[clause_id] in clauses:
            yield judge(clause_id, check, server)


def check_multi_model(server: Server, clauses: Collection[Clause], model_url: str) -> Iterator[Verdict]:
    """Yield a verdict for the routes of many models."""
    if CLAUSES[MULTI_MODEL_CLAUSE] in clauses:
        yield judge(MULTI_MODEL_CLAUSE, partial(multi_model.models_come_and_go, model_url=model_url), server)


def select(only: Collection[str]) -> tuple[Clause, ...]:
    """Return the clauses with these ids, all without any.

    Raises:
        ConfigurationError: There is no such clause.
    """
    wanted = {name.strip().upper() for name in only if name.strip()}
    if unknown := sorted(wanted - set(CLAUSES)):
        raise ConfigurationError(
            f"there is no check for {', '.join(unknown)}; accepted: {', '.join(CLAUSES)}"
        )
    return tuple(clause for clause in CLAUSES.values() if not wanted or clause.id in wanted)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 1 where a MUST is broken or nothing could be judged, else 0."""
    judged = [verdict for verdict in verdicts if verdict.outcome is not Outcome.SKIP]
    return 0 if judged and not any(verdict.outcome is Outcome.FAIL for verdict in judged) else 1


def _run(server: Server, clauses: Collection[Clause], model_url: str | None) -> Iterator[Verdict]:
    yield from check_server(server, [clause for clause in clauses if clause.needs is Needs.URL])
    if model_url is not None:
        yield from check_multi_model(server, clauses, model_url)
