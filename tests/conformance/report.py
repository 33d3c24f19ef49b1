"""Sum up a run: clause, target, pass or fail or skip, with the reason."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.page import CLAUSES, read_page

TARGETS: Final = ("process", "container")
_OUTCOMES: Final = {"failed": "fail", "error": "fail", "passed": "pass", "skipped": "skip"}
_WEIGHTS: Final = {"fail": 2, "pass": 1, "skip": 0}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold what is known of a clause on a target."""

    outcome: str
    reason: str


Table = dict[str, dict[str, Verdict]]


def tabulate(stats: Mapping[str, Iterable[object]]) -> Table:
    """Return clause -> target -> verdict; the worst outcome of a clause's tests counts, a skip the least."""
    table: Table = {}
    for category, outcome in _OUTCOMES.items():
        for report in stats.get(category, ()):
            if not isinstance(report, pytest.TestReport):
                continue
            properties = dict(report.user_properties)
            for clause in str(properties.get("clauses", "")).split():
                verdicts = table.setdefault(clause, {})
                target = str(properties["target"])
                verdict = Verdict(outcome, _reason(report) if outcome != "pass" else "")
                known = verdicts.get(target)
                if known is None or _WEIGHTS[outcome] > _WEIGHTS[known.outcome]:
                    verdicts[target] = verdict
    return table


def figures(stats: Mapping[str, Iterable[object]]) -> dict[str, dict[str, object]]:
    """Return target -> name -> what tests have measured."""
    found: dict[str, dict[str, object]] = {}
    for report in (*stats.get("passed", ()), *stats.get("failed", ())):
        if isinstance(report, pytest.TestReport) and report.when == "call":
            measured = dict(report.user_properties)
            target = str(measured.pop("target", ""))
            measured.pop("clauses", None)
            if measured:
                found.setdefault(target, {}).update(measured)
    return found


def lines(table: Table, measured: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return the table for people, then the counts and the figures."""
    shown = [f"{'clause':8}{'process':10}{'container':11}reason"]
    for clause in sorted(table, key=CLAUSES.index):
        verdicts = table[clause]
        outcomes = [verdicts[target].outcome if target in verdicts else "-" for target in TARGETS]
        reasons = dict.fromkeys(verdict.reason for verdict in verdicts.values() if verdict.reason)
        shown.append(f"{clause:8}{outcomes[0]:10}{outcomes[1]:11}{'; '.join(reasons)}".rstrip())
    for target in TARGETS:
        counts = {outcome: _count(table, target, outcome) for outcome in ("pass", "fail", "skip")}
        shown.append(f"{target}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
        shown += [f"  {name}={value}" for name, value in measured.get(target, {}).items()]
    untested = [row.clause for row in read_page() if row.why_none]
    shown.append(f"{len(untested)} clauses have no test; docs/contract.md says why")
    return shown


def write(table: Table, measured: Mapping[str, Mapping[str, object]], path: Path) -> None:
    """Write the table as JSON, with the clauses that have no test and why."""
    document = {
        "clauses": {
            clause: {target: asdict(verdict) for target, verdict in table[clause].items()}
            for clause in sorted(table, key=CLAUSES.index)
        },
        "figures": measured,
        "untested": {row.clause: row.why_none for row in read_page() if row.why_none},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def _count(table: Table, target: str, outcome: str) -> int:
    return sum(target in verdicts and verdicts[target].outcome == outcome for verdicts in table.values())


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    return text.strip().splitlines()[0][:160] if text.strip() else report.outcome
