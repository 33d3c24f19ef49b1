"""What `--map` accepts, what it works out to, and what it refuses."""

import re

import numpy as np
import pytest

from service.errors import ConfigurationError
from service.training.expression import (
    MAX_DEPTH,
    MAX_LENGTH,
    find_birth_date,
    parse_expression,
    parse_mapping,
    suggest_mapping,
)


def evaluate(text: str, **columns: float) -> float:
    expression = parse_expression(text)
    arrays = [np.array([columns[name.replace(" ", "_")]]) for name in expression.names]
    return float(expression.evaluate(arrays, size=1)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a+b*c", 14.0),
        ("(a+b)*c", 20.0),
        ("a-b-c", -5.0),
        ("c/a/b", 2 / 3 * 1.0),
        ("-a*b", -6.0),
        ("a--b", 5.0),
        ("2014-a", 2012.0),
        ("a*1e3", 2000.0),
        (" .5 * a ", 1.0),
        ("a+a", 4.0),
        ("7", 7.0),
    ],
)
def test_expression_follows_the_usual_precedence(text: str, expected: float) -> None:
    actual = evaluate(text, a=2.0, b=3.0, c=4.0)

    assert actual == expected


@pytest.mark.parametrize("text", ['"annual income"*1000', "'annual income'*1000"])
def test_expression_takes_a_quoted_name(text: str) -> None:
    assert evaluate(text, annual_income=2.5) == 2500.0


def test_expression_names_each_column_once_in_order() -> None:
    assert parse_expression("b+a*b").names == ("b", "a")


@pytest.mark.parametrize(
    ("text", "columns"), [("a/b", (1.0, 0.0)), ("a/b", (0.0, 0.0)), ("a*b", (1e300, 1e300))]
)
def test_expression_is_not_finite_after_division_by_zero_or_overflow(
    text: str, columns: tuple[float, float]
) -> None:
    actual = parse_expression(text).evaluate([np.array([value]) for value in columns], size=1)

    assert not np.isfinite(actual).any()


def test_expression_of_no_column_fills_every_row() -> None:
    assert parse_expression("1").evaluate([], size=3).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("__import__('os')", "'(' at character 11"),
        ("os.system", "'.' at character 3"),
        ("a.b", "'.' at character 2"),
        ("print(a)", "'(' at character 6"),
        ("a<b", "'<' at character 2"),
        ("a==b", "'=' at character 2"),
        ("10**10**10", "'*' at character 4"),
        ("a if b else c", "'if' at character 3"),
        ("lambda: 1", "':' at character 7"),
        ("[a]", "'[' at character 1"),
        ("a;b", "';' at character 2"),
        ("f'{a}'", "at character 2"),
        ("2a", "'a' at character 2"),
        ("a b", "'b' at character 3"),
        ("a+", "the end"),
        ("", "the end"),
        ("(a", "the end"),
        ("a)", "')' at character 2"),
        ("()", "')' at character 2"),
        ("+a", "'+' at character 1"),
        ('"a', "'\"' at character 1"),
        ("1e999", "too large"),
        ("(" * 5 * MAX_DEPTH + "a" + ")" * 5 * MAX_DEPTH, "deeper than 20"),
        ("-" * 5 * MAX_DEPTH + "a", "deeper than 20"),
    ],
)
def test_expression_refuses_anything_but_arithmetic(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(problem)) as caught:
        parse_expression(text)

    assert repr(text) in str(caught.value)
    assert "numbers, + - * / and parentheses" in str(caught.value)


def test_expression_refuses_endless_text() -> None:
    with pytest.raises(ConfigurationError, match=f"at most {MAX_LENGTH}"):
        parse_expression("a+" * MAX_LENGTH + "a")


def test_mapping_splits_options_whatever_the_case_of_the_target() -> None:
    actual = parse_mapping(["age = 2014-Year_Birth", "INCOME=a=b"])

    assert actual == {"Age": "2014-Year_Birth", "Income": "a=b"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["Gender=sex"], "--map cannot set 'Gender'; accepted are Age, Income, Purchases"),
        (["Age"], "--map 'Age' is not of the form Target=expression"),
        (["Age= "], "is not of the form"),
        (["Age=a", "age=b"], "--map gives Age twice: 'a' and 'b'"),
    ],
)
def test_mapping_refuses_a_bad_option(options: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        parse_mapping(options)


@pytest.mark.parametrize(
    ("target", "columns", "expected"),
    [
        ("Income", ["id", "Annual_Income"], "--map 'Income=Annual_Income'"),
        ("Income", ["Annual Income (k$)"], "--map 'Income=\"Annual Income (k$)\"*1000'"),
        ("Income", ["Incom"], "--map 'Income=Incom'"),
        ("Purchases", ["NumPurchases"], "--map 'Purchases=NumPurchases'"),
        ("Purchases", ["last_purchase_amount", "purchase_frequency"], "--map 'Purchases=purchase_frequency'"),
        (
            "Purchases",
            ["NumDealsPurchases", "NumWebPurchases", "NumStorePurchases"],
            "--map 'Purchases=NumWebPurchases+NumStorePurchases'",
        ),
        ("Age", ["package", "customer age"], "--map 'Age=\"customer age\"'"),
        ("Age", ["x"], "--map 'Age=NAME_OF_YOUR_COLUMN'"),
    ],
)
def test_suggestion_can_be_pasted(target: str, columns: list[str], expected: str) -> None:
    assert suggest_mapping(target, columns) == expected


def test_suggestion_makes_an_age_of_a_birth_year() -> None:
    assert re.fullmatch(r"--map 'Age=20\d\d-Year_Birth'", suggest_mapping("Age", ["Year_Birth"]))


@pytest.mark.parametrize("column", ["DOB", "Date of Birth", "birthdate", "birth_date"])
def test_birth_date_is_found(column: str) -> None:
    assert find_birth_date(["id", column]) == column
