"""Print the table of clauses at the end of a run, and write it on demand.

A plugin, not a part of `conftest.py`: where workers of xdist collect the tests, the process that sums up
knows no conftest of a folder below.
"""

from pathlib import Path

import pytest

from tests.conformance.report import figures, lines, tabulate, write


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clause-report", metavar="FILE", help="write the table of clauses as JSON")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note each test's clauses and target where workers of xdist hand them on."""
    for item in items:
        marker = item.get_closest_marker("clause")
        if marker is None:
            continue
        fixtures = getattr(item, "fixturenames", ())
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        target = parameters.get("target", "container" if "container" in fixtures else "process")
        item.user_properties += [("clauses", " ".join(marker.args)), ("target", target)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = tabulate(terminalreporter.stats)
    if not table:
        return
    terminalreporter.section("clauses of the contract")
    measured = figures(terminalreporter.stats)
    terminalreporter.write_line("\n".join(lines(table, measured)))
    path = config.getoption("clause_report")
    if path:
        write(table, measured, Path(path))
