"""Each fault is caught by the clause it breaks, and by no other."""

from collections.abc import Callable, Sequence

import pytest

from service.conformance.clause import Force, Needs
from service.conformance.clauses import CLAUSES
from service.conformance.http_checks import exit_code, run_checks
from service.conformance.invocations import answers_come_in_time
from service.conformance.samples import DEFAULT_SAMPLES, Sample
from service.conformance.server import Server
from service.conformance.verdict import Outcome, Verdict, judge
from service.conformance.wire import Answer
from service.errors import ConfigurationError

pytestmark = pytest.mark.timing
MODEL_URL = "/opt/ml/models/a/model"
FAULTS = {
    "slow-accept": "C9",
    "host-list": "C10",
    "drops-connections": "C12",
    "ping-404": "C13",
    "ping-500": "C13",
    "slow-ping": "C14",
    "one-at-a-time": "C14",
    "get-only": "C15",
    "no-invocations": "C21",
    "unknown-headers": "C22",
    "headers-count": "C22",
    "needs-type": "C23",
    "exact-type": "C23",
    "octets-crash": "C24",
    "no-wildcard": "C25",
    "small-limit": "C27",
    "slow-large": "C26",
    "trace": "C28",
    "long-errors": "C28",
    "mistakes-are-500": "C28",
    "errors-are-200": "C28",
    "echoes-all": "C29",
    "api-headers": "C30",
    "charset": "C31",
    "few-at-once": "C32",
    "bad-metrics": "C42",
    "catch-all": "C43",
    "catches-parameters": "C43",
    "text-parameters": "C48",
    "empty-parameters": "C48",
    "odd-strategy": "C49",
    "lf-only": "C51",
    "one-document": "C52",
    "loses-records": "C53",
    "doubles-one": "C53",
    "no-last-newline": "C54",
    "no-join": "C55",
    "bad-row-500": "C56",
    "bad-row-200": "C56",
    "no-chunks": "C57",
    "no-models": "C69",
    "no-conflict": "C69",
    "never-unloads": "C69",
    "one-page": "C69",
    "two-types": "C71",
    "no-types": "C71",
}
ONLY_ADVICE = {"exact-type", "mistakes-are-500"}
"""Allowed by a MUST, and asking for trouble all the same."""
CONSEQUENCES = {"slow-accept": "C14"}
"""What a fault may break besides: the system tries a refused connection again after a second, and then after
three, so that a ping may also take more than its two."""


LONGER_S = {"one-at-a-time": 4.0}
"""How long a server with a fault is kept busy where the first pings may come before the clients' requests."""


def check(url: str, *, busy_s: float = 1, **options: object) -> list[Verdict]:
    timeout_s = 2 if options.pop("is_hasty", False) else 20
    return list(run_checks(url, timeout_s=timeout_s, busy_s=busy_s, **options))  # type: ignore[arg-type]  # of the options of run_checks


def found(verdicts: Sequence[Verdict]) -> dict[str, Outcome]:
    wrong = {Outcome.FAIL, Outcome.WARN}
    return {verdict.clause.id: verdict.outcome for verdict in verdicts if verdict.outcome in wrong}


def test_a_server_without_a_fault_passes_every_clause(start_faulty: Callable[[str], str]) -> None:
    verdicts = check(start_faulty(""), model_url=MODEL_URL)

    assert {
        verdict.clause.id: verdict.reason for verdict in verdicts if verdict.outcome is not Outcome.PASS
    } == {}
    expected = {clause.id for clause in CLAUSES.values() if clause.needs in {Needs.URL, Needs.MULTI_MODEL}}
    assert {verdict.clause.id for verdict in verdicts} == expected
    assert all(verdict.received and not verdict.mend for verdict in verdicts if verdict.clause.id != "C69")
    assert exit_code(verdicts) == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught_by_its_clause_and_no_other(start_faulty: Callable[[str], str], fault: str) -> None:
    clause = CLAUSES[FAULTS[fault]]
    verdicts = check(
        start_faulty(fault),
        model_url=MODEL_URL,
        is_hasty=fault == "slow-large",
        busy_s=LONGER_S.get(fault, 1),
    )

    is_failure = clause.force is Force.MUST and fault not in ONLY_ADVICE
    wrong = found(verdicts)
    wrong.pop(CONSEQUENCES.get(fault, ""), None)
    assert wrong == {clause.id: Outcome.FAIL if is_failure else Outcome.WARN}
    assert exit_code(verdicts) == int(is_failure)
    (verdict,) = (verdict for verdict in verdicts if verdict.clause == clause)
    assert verdict.reason
    assert verdict.sent
    assert verdict.mend == clause.mend


def test_a_server_that_ignores_accept_is_warned_of(start_faulty: Callable[[str], str]) -> None:
    verdicts = check(start_faulty("ignores-accept"))

    assert found(verdicts) == {"C25": Outcome.WARN}


@pytest.mark.parametrize(
    ("fault", "clause_id", "sent", "received"),
    [
        ("headers-count", "C22", "X-Conformance-1", "200 application/json"),
        ("exact-type", "C23", "APPLICATION/JSON", "415"),
        ("errors-are-200", "C28", "14 bytes", "200 application/json"),
        ("mistakes-are-500", "C28", "14 bytes", "500"),
        ("empty-parameters", "C48", "GET /execution-parameters", "200 application/json"),
        ("doubles-one", "C53", "13 bytes: [[25,1250.0]]", "[1275.0, 1275.0]"),
    ],
)
def test_what_is_shown_is_the_exchange_that_broke_the_clause(
    start_faulty: Callable[[str], str], fault: str, clause_id: str, sent: str, received: str
) -> None:
    (verdict,) = check(start_faulty(fault), only=[clause_id])

    assert sent in verdict.sent
    assert received in verdict.received


def test_of_several_types_the_one_that_differs_is_shown(start_faulty: Callable[[str], str]) -> None:
    (verdict,) = check(start_faulty("two-types"), only=["C71"])

    assert verdict.reason.startswith("the same request is answered as ")
    assert verdict.received.startswith(f"200 {verdict.reason.rpartition(' as ')[2]},")


@pytest.mark.parametrize(("first_s", "large_s"), [(70.0, 1.0), (1.0, 70.0)])
def test_of_slow_answers_the_slowest_is_shown(first_s: float, large_s: float) -> None:
    class Slow(Server):
        def accepted(self) -> list[tuple[Sample, Answer]]:
            return [(DEFAULT_SAMPLES[0], Answer(200, {}, b"", first_s))]

    server = Slow("http://localhost:1", DEFAULT_SAMPLES, timeout_s=100, is_default=True)
    server.large = Answer(200, {}, b"", large_s)
    verdict = judge("C26", answers_come_in_time, server)

    assert verdict.outcome is Outcome.FAIL
    assert "70.00 s" in verdict.received
    assert ("largest payload" in verdict.sent) == (large_s > first_s)


def test_half_a_json_document_is_sent_whatever_comes_first(start_faulty: Callable[[str], str]) -> None:
    requests = [Sample(b"25,1250.0\n", "text/csv"), Sample(b"[[25, 1250.0]]", "application/json")]

    (verdict,) = check(start_faulty("errors-are-200"), requests=requests, only=["C28"])

    assert verdict.outcome is Outcome.FAIL
    assert "half a JSON document" in verdict.reason
    assert verdict.sent.endswith("7 bytes: [[25, 1")


@pytest.mark.parametrize(
    ("fault", "clause_id", "cause"),
    [("no-types", "C42", "C71"), ("no-types", "C55", "C71"), ("catches-parameters", "C48", "C43")],
)
def test_what_follows_from_another_fault_is_skipped_and_names_it(
    start_faulty: Callable[[str], str], fault: str, clause_id: str, cause: str
) -> None:
    (verdict,) = check(start_faulty(fault), only=[clause_id])

    assert verdict.outcome is Outcome.SKIP
    assert f"({cause})" in verdict.reason


@pytest.mark.parametrize(("fault", "clause_id"), [("untyped-metrics", "C42"), ("caught-parameters", "C48")])
def test_a_fault_of_its_own_is_not_taken_for_a_consequence(
    start_faulty: Callable[[str], str], fault: str, clause_id: str
) -> None:
    (verdict,) = check(start_faulty(fault), only=[clause_id])

    assert verdict.outcome is Outcome.WARN


def test_a_server_whose_records_cannot_be_counted_is_not_judged_by_their_number(
    start_faulty: Callable[[str], str],
) -> None:
    (verdict,) = check(start_faulty("uncounted"), only=["C56"])

    assert verdict.outcome is Outcome.SKIP


def test_every_clause_that_needs_only_a_url_has_a_fault_that_breaks_it() -> None:
    clauses = {clause.id for clause in CLAUSES.values() if clause.needs in {Needs.URL, Needs.MULTI_MODEL}}

    assert set(FAULTS.values()) == clauses


def test_nobody_at_the_url_is_a_failure_and_all_else_is_skipped() -> None:
    verdicts = check("http://127.0.0.1:9")  # the port of discard, where nobody listens

    assert found(verdicts)["C13"] is Outcome.FAIL
    assert exit_code(verdicts) == 1
    assert Outcome.PASS not in {verdict.outcome for verdict in verdicts}


def test_nothing_but_skips_proves_nothing(start_faulty: Callable[[str], str]) -> None:
    verdicts = check(start_faulty("no-invocations"), only=["C27"])

    assert [verdict.outcome for verdict in verdicts] == [Outcome.SKIP]
    assert exit_code(verdicts) == 1
    assert exit_code([]) == 1


def test_only_the_clauses_that_were_asked_for_are_checked(start_faulty: Callable[[str], str]) -> None:
    verdicts = check(start_faulty(""), only=["c13", "C43"])

    assert [verdict.clause.id for verdict in verdicts] == ["C13", "C43"]


def test_a_request_of_the_caller_must_be_answered(start_faulty: Callable[[str], str]) -> None:
    requests = [Sample(b"[[1, 2]]", "application/json"), Sample(b"<a/>", "application/xml")]

    verdicts = check(start_faulty(""), requests=requests, only=["C21"])

    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAIL]
    assert "application/xml" in verdicts[0].reason


def test_a_payload_that_cannot_be_made_longer_is_skipped_and_not_blamed(
    start_faulty: Callable[[str], str],
) -> None:
    requests = [Sample(b"[[1, 2]]", "application/octet-stream")]

    verdicts = check(start_faulty(""), requests=requests, only=["C27", "C53"])

    assert [verdict.outcome for verdict in verdicts] == [Outcome.SKIP, Outcome.SKIP]


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http://a:port", "image:latest", ""])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http://host:port"):
        run_checks(url)


def test_a_url_may_lack_its_scheme(start_faulty: Callable[[str], str]) -> None:
    verdicts = check(start_faulty("").removeprefix("http://"), only=["C13"])

    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASS]


def test_an_unknown_clause_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="C999"):
        run_checks("http://localhost:1", only=["C999"])
