"""Reports are valid in their forms, stand alone, and cannot be broken by what a server says."""

import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

from service.conformance.clauses import CLAUSES
from service.conformance.report import Format, Report, make_report, render
from service.conformance.verdict import Outcome, Verdict

NASTY = '<script>alert("1")</script>\x00\x1b]]>&'
VERDICTS = [
    Verdict(CLAUSES["C13"], Outcome.PASS, "", "GET /ping", "200", 0.1),
    Verdict(CLAUSES["C28"], Outcome.FAIL, NASTY, "POST /invocations", NASTY, 0.2),
    Verdict(CLAUSES["C42"], Outcome.WARN, "answered with 404", "GET /metrics", "404", 0.1),
    Verdict(CLAUSES["C31"], Outcome.SKIP, "does not answer text/csv", "", "", 0.1),
]
REPORT = Report("http://localhost:8080", datetime(2026, 11, 23, tzinfo=UTC), VERDICTS)


def test_json_holds_all_that_is_known() -> None:
    document = json.loads(render(REPORT, Format.JSON))

    assert document["counts"] == {"pass": 1, "fail": 1, "warn": 1, "skip": 1}
    assert document["is_conformant"] is False
    failure = document["verdicts"][1]
    assert (failure["clause"], failure["force"], failure["outcome"]) == ("C28", "MUST", "fail")
    assert failure["sentence"] == CLAUSES["C28"].sentence
    assert (failure["sent"], failure["received"]) == ("POST /invocations", NASTY)
    assert failure["mend"] == CLAUSES["C28"].mend
    assert document["verdicts"][0]["mend"] == ""


def test_junit_counts_failures_and_skips_and_lets_warnings_pass() -> None:
    suite = ET.fromstring(render(REPORT, Format.JUNIT)).find("testsuite")

    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    cases = suite.findall("testcase")
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["system-out"], ["skipped"]]
    assert (cases[1].get("name") or "").startswith("C28 ")
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == NASTY.replace("\x00\x1b", "")


def test_the_page_needs_nothing_but_itself_and_runs_nothing() -> None:
    page = render(REPORT, Format.HTML)

    assert "<script" not in page
    assert not re.search(r"(?:src|href|url)\s*[=(]", page)
    assert "&lt;script&gt;" in page
    for verdict in VERDICTS:
        assert verdict.clause.id in page
    assert CLAUSES["C28"].mend.split(":")[0] in page


def test_a_run_without_a_judgement_is_an_error_in_every_form() -> None:
    report = make_report("x", VERDICTS[3:])

    assert report.exit_code == 1
    assert "proves nothing" in report.summary
    assert json.loads(render(report, Format.JSON))["is_conformant"] is False
    suite = ET.fromstring(render(report, Format.JUNIT)).find("testsuite")
    assert suite is not None
    assert (suite.get("errors"), suite.get("tests"), len(suite.findall("testcase/error"))) == ("1", "2", 1)
    assert "proves nothing" in render(report, Format.HTML)


def test_warnings_alone_are_no_failure() -> None:
    assert make_report("x", [VERDICTS[0], VERDICTS[2], VERDICTS[3]]).exit_code == 0
