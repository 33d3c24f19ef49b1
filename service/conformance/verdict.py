"""Judge a clause: what was sent, what came back, and whether that is what the clause asks for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from service.conformance.clause import Clause, Force
from service.conformance.clauses import CLAUSES
from service.conformance.wire import NoAnswerError


class Outcome(StrEnum):
    """Name what can be said of a clause."""

    PASS = "pass"  # noqa: S105  # a verdict
    FAIL = "fail"
    WARN = "warn"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold what is known of one clause."""

    clause: Clause
    outcome: Outcome
    reason: str
    """Why it failed, was warned of or skipped; empty where it passed."""
    sent: str
    received: str
    took_s: float

    @property
    def mend(self) -> str:
        """Return how to put it right; empty where nothing is wrong."""
        return self.clause.mend if self.outcome in {Outcome.FAIL, Outcome.WARN} else ""

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for a program."""
        return {
            "clause": self.clause.id,
            "force": self.clause.force.value,
            "outcome": self.outcome.value,
            "sentence": self.clause.sentence,
            "source": self.clause.source,
            "reason": self.reason,
            "sent": self.sent,
            "received": self.received,
            "mend": self.mend,
            "took_s": round(self.took_s, 3),
        }


class Finding(Exception):  # noqa: N818  # it is a result, and only some of them are errors
    """Raised by a check to end it with something else than a pass."""


class Violation(Finding):
    """Raised where a clause is broken: a failure where it says MUST, a warning elsewhere."""


class Advice(Finding):
    """Raised where what came back is allowed but asks for trouble: always a warning."""


class NotApplicable(Finding):
    """Raised where a clause cannot be judged, with the reason."""


def expect(condition: object, reason: str) -> None:
    """Break the clause unless a condition holds."""
    if not condition:
        raise Violation(reason)


def advise(condition: object, reason: str) -> None:
    """Warn unless a condition holds."""
    if not condition:
        raise Advice(reason)


class Subject(Protocol):
    """What checks look at; it remembers the exchange that was looked at last."""

    sent: str
    received: str


S = TypeVar("S", bound=Subject)


def judge(clause_id: str, check: Callable[[S], None], subject: S) -> Verdict:
    """Run one check and say what it found."""
    clause = CLAUSES[clause_id]
    subject.sent = subject.received = ""
    since = time.monotonic()
    outcome, reason = Outcome.PASS, ""
    try:
        check(subject)
    except NotApplicable as exc:
        outcome, reason = Outcome.SKIP, str(exc)
    except Advice as exc:
        outcome, reason = Outcome.WARN, str(exc)
    except (Violation, NoAnswerError) as exc:
        outcome = Outcome.FAIL if clause.force is Force.MUST else Outcome.WARN
        reason = str(exc)
    return Verdict(clause, outcome, reason, subject.sent, subject.received, time.monotonic() - since)
