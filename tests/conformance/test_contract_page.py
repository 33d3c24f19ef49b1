"""docs/contract.md is complete and fresh, and the suite looks at the service from outside only."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.page import CLAUSES, Row, read_page

FOLDER = Path(__file__).parent
ALLOWED = {"botocore", "numpy", "pytest", *sys.stdlib_module_names}
ROWS = read_page()


def marked_tests() -> dict[str, list[str]]:
    """Return each test that proves something, with its clauses."""
    found: dict[str, list[str]] = {}
    for path in FOLDER.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                clauses = [clause for decorator in node.decorator_list for clause in clauses_of(decorator)]
                if clauses:
                    assert node.name not in found, f"two tests are named {node.name}"
                    found[node.name] = clauses
    return found


def clauses_of(decorator: ast.expr) -> list[str]:
    if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) != "pytest.mark.clause":
        return []
    return [ast.literal_eval(argument) for argument in decorator.args]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module or ""
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in {"__import__", "importlib.import_module", "runpy.run_module"}, path.name


def test_every_clause_has_one_row_in_order() -> None:
    assert [row.clause for row in ROWS] == list(CLAUSES)


@pytest.mark.parametrize("row", ROWS, ids=[row.clause for row in ROWS])
def test_a_row_names_its_tests_or_says_why_there_is_none(row: Row) -> None:
    tests = marked_tests()

    assert row.demand
    assert row.conduct
    assert bool(row.tests) != bool(row.why_none)
    for name in row.tests:
        assert row.clause in tests[name]


def test_every_marked_test_is_in_the_row_of_each_of_its_clauses() -> None:
    on_page = {(row.clause, name) for row in ROWS for name in row.tests}

    assert on_page == {(clause, name) for name, clauses in marked_tests().items() for clause in clauses}


def test_a_test_is_named_by_its_first_clause() -> None:
    for name, clauses in marked_tests().items():
        assert name.startswith(f"test_{clauses[0].lower()}_")
        assert set(clauses) <= set(CLAUSES)


def test_the_suite_imports_nothing_of_the_service() -> None:
    for path in FOLDER.rglob("*.py"):
        for module in imported(path):
            assert module.startswith("tests.conformance.") or module.partition(".")[0] in ALLOWED, path.name
