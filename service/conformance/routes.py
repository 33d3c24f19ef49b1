"""Check the routes beside ping and invocations: C42 and C43."""

import re
from typing import Final

from service.conformance.server import OK, Server
from service.conformance.verdict import expect
from service.conformance.wire import Answer

METRICS_PATH: Final = "/metrics"
UNKNOWN_PATH: Final = "/conformance-no-such-path"
NOT_FOUND: Final = 404
_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL: Final = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*"'
_NUMBER: Final = r"(?:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?Inf|NaN)"
_METRIC: Final = re.compile(
    rf"{_NAME}(?:\{{(?:{_LABEL}(?:,{_LABEL})*,?)?\}})?[ \t]+{_NUMBER}(?:[ \t]+-?\d+)?(?: # .*)?"
)
"""Source: Prometheus documentation, "Exposition formats", text format 0.0.4."""


def metrics_are_prometheus_text(server: Server) -> None:
    """C42."""
    answer = server.ask("GET", METRICS_PATH)
    expect(answer.status == OK, f"answered with {answer.status}")
    if not answer.content_type:
        server.need_content_type()
    expect(
        _is_text(answer), f"the content type is {answer.content_type!r}; accepted: text/plain; version=0.0.4"
    )
    for number, line in enumerate(answer.body.decode("utf-8", "replace").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            expect(_METRIC.fullmatch(line.strip()), f"line {number} is no metric of the text format")


def unknown_paths_are_404(server: Server) -> None:
    """C43."""
    for method, body in (("GET", None), ("POST", b"{}")):
        answer = server.ask(method, UNKNOWN_PATH, body)
        expect(answer.status == NOT_FOUND, f"{method} {UNKNOWN_PATH} is answered with {answer.status}")


def _is_text(answer: Answer) -> bool:
    return answer.media_type in {"text/plain", "application/openmetrics-text"}


CHECKS: Final = (
    ("C42", metrics_are_prometheus_text),
    ("C43", unknown_paths_are_404),
)
