"""Write down a run: JSON for programs, JUnit for build servers, HTML for people."""

import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from html import escape
from typing import Any, Final

import service
from service.conformance.http_checks import exit_code
from service.conformance.verdict import Outcome, Verdict

_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8884 }
code { font-size: .85em; overflow-wrap: anywhere; opacity: .85 }
.pass { color: #17803d } .fail { color: #d1242f } .warn { color: #a15c00 } .skip { opacity: .6 }
td:nth-child(2) { font-weight: 600 } summary { cursor: pointer } p.verdict { font-size: 1.2rem }
@media (prefers-color-scheme: dark) {
  .pass { color: #4ac26b } .fail { color: #ff7b72 } .warn { color: #e3b341 }
}
"""


class Format(StrEnum):
    """Name the forms of a report."""

    JSON = "json"
    JUNIT = "junit"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Report:
    """Hold a finished run."""

    target: str
    started: datetime
    verdicts: Sequence[Verdict]

    @property
    def counts(self) -> Mapping[str, int]:
        """Return how often each outcome was found."""
        counted = Counter(verdict.outcome for verdict in self.verdicts)
        return {outcome.value: counted[outcome] for outcome in Outcome}

    @property
    def exit_code(self) -> int:
        """Return 1 where a MUST is broken or nothing could be judged, else 0."""
        return exit_code(self.verdicts)

    @property
    def summary(self) -> str:
        """Return the run in one sentence."""
        counts = self.counts
        judged = len(self.verdicts) - counts[Outcome.SKIP]
        if not judged:
            return "No clause could be judged, which proves nothing"
        broken = counts[Outcome.FAIL]
        said = (
            f"{broken} clauses that say MUST are broken"
            if broken != 1
            else "A clause that says MUST is broken"
        )
        kept = "No clause that says MUST is broken" if not broken else said
        return f"{kept}: {', '.join(f'{count} {name}' for name, count in counts.items())}"

    def as_dict(self) -> dict[str, Any]:
        """Return the run for a program."""
        return {
            "target": self.target,
            "started": self.started.isoformat(timespec="seconds"),
            "segserve": service.__version__,
            "is_conformant": self.exit_code == 0,
            "counts": dict(self.counts),
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
        }


def make_report(target: str, verdicts: Sequence[Verdict]) -> Report:
    """Return the report of a run that has just ended."""
    took_s = sum(verdict.took_s for verdict in verdicts)
    return Report(target, datetime.fromtimestamp(datetime.now(UTC).timestamp() - took_s, UTC), verdicts)


def render(report: Report, form: Format) -> str:
    """Return the report in one of its forms."""
    match form:
        case Format.JSON:
            return json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n"
        case Format.JUNIT:
            return _junit(report)
        case Format.HTML:
            return _page(report)


def _junit(report: Report) -> str:
    """Return a test suite with a case a clause; warnings pass, and say so in their output."""
    counts = report.counts
    is_void = report.exit_code != 0 and not counts[Outcome.FAIL]
    suite = ET.Element(
        "testsuite",
        name="segserve conform",
        tests=str(len(report.verdicts)),
        failures=str(counts[Outcome.FAIL]),
        errors=str(int(is_void)),
        skipped=str(counts[Outcome.SKIP]),
        time=f"{sum(verdict.took_s for verdict in report.verdicts):.3f}",
        timestamp=report.started.strftime("%Y-%m-%dT%H:%M:%S"),
        hostname=_xml_text(report.target),
    )
    for verdict in report.verdicts:
        clause = verdict.clause
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"contract.{clause.force.value}",
            name=f"{clause.id} {clause.sentence}",
            time=f"{verdict.took_s:.3f}",
        )
        details = _xml_text(f"sent: {verdict.sent}\nreceived: {verdict.received}\nmend: {verdict.mend}")
        match verdict.outcome:
            case Outcome.FAIL:
                ET.SubElement(case, "failure", message=_xml_text(verdict.reason)).text = details
            case Outcome.SKIP:
                ET.SubElement(case, "skipped", message=_xml_text(verdict.reason))
            case Outcome.WARN:
                ET.SubElement(case, "system-out").text = f"warning: {_xml_text(verdict.reason)}\n{details}"
            case Outcome.PASS:
                pass
    if is_void:
        case = ET.SubElement(suite, "testcase", classname="contract", name="at least one clause is judged")
        ET.SubElement(case, "error", message=report.summary)
        suite.set("tests", str(len(report.verdicts) + 1))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _page(report: Report) -> str:
    """Return a page that needs nothing but itself."""
    rows = "\n".join(_row(verdict) for verdict in report.verdicts)
    title = f"{escape(report.target)} and SageMaker's contract"
    state = "fail" if report.exit_code else "pass"
    when = f"{report.started:%Y-%m-%d %H:%M} UTC, segserve {service.__version__}"
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
<h1>{title}</h1>
<p class="verdict {state}">{escape(report.summary)}.</p>
<p>Checked {when}. A broken MUST is a failure, a broken SHOULD a warning.</p>
<table>
<thead><tr><th>Clause</th><th>Verdict</th><th>What is asked for, and what was found</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</html>
"""


def _row(verdict: Verdict) -> str:
    clause = verdict.clause
    parts = [f"<strong>{escape(clause.sentence)}</strong>"]
    if verdict.reason:
        parts.append(f"<br>{escape(verdict.reason)}")
    if verdict.mend:
        parts.append(f"<br>To mend: {escape(verdict.mend)}")
    if verdict.sent or verdict.received:
        parts.append(
            f"<details><summary>Sent and received</summary><code>{escape(verdict.sent)}</code><br>"
            f"<code>{escape(verdict.received)}</code></details>"
        )
    parts.append(f"<br><small>{escape(clause.source)}</small>")
    name = f"{clause.id}<br><small>{clause.force.value}</small>"
    outcome = verdict.outcome.value
    return f'<tr><td>{name}</td><td class="{outcome}">{outcome}</td><td>{"".join(parts)}</td></tr>'


def _xml_text(text: str) -> str:
    """Leave out what XML cannot hold."""
    return "".join(sign for sign in text if sign in "\t\n\r" or sign >= " ")
