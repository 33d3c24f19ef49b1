"""Parse what follows the = of a `--map` option: arithmetic on columns, and nothing else.

    sum     := product (("+" | "-") product)*
    product := factor (("*" | "/") factor)*
    factor  := "-" factor | number | name | 'quoted name' | "quoted name" | "(" sum ")"

Nothing is evaluated as code. The parser emits postfix steps, and evaluating walks them once.
"""

import datetime as dt
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from service.errors import ConfigurationError
from service.features import AGE, INCOME, PURCHASES, RAW_COLUMNS

MAX_LENGTH: Final = 1000
"""Characters of an expression: far more than a sum of many columns needs."""

MAX_DEPTH: Final = 20
"""Open parentheses and minus signs at one point, so that parsing never exhausts the stack."""

ACCEPTED: Final = "column names (in quotes unless they are plain words), numbers, + - * / and parentheses"

_TOKEN: Final = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<quoted>\"[^\"]+\"|'[^']+')"
    r"|(?P<sign>[-+*/()])"
)
_BINARY: Final[Mapping[str, np.ufunc]] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}

_ALIASES: Final = {
    AGE: ("age_years", "customer_age", "year_birth", "birth_year", "year_of_birth", "yob"),
    INCOME: ("annual_income", "income_usd", "household_income", "yearly_income", "salary", "earnings"),
    PURCHASES: (
        "purchase_frequency",
        "num_purchases",
        "numpurchases",
        "purchase_count",
        "orders",
        "frequency",
    ),
}
"""Other names for the columns, folded, as public customer files have them."""

_STEMS: Final = {AGE: r"(^|_)age(_|$)", INCOME: "income|salary", PURCHASES: "purchases|orders"}
_BIRTH_YEARS: Final = ("year_birth", "birth_year", "year_of_birth", "yob")
_BIRTH_DATE: Final = re.compile("dob|(date_of_)?birth_?(date|day)?|date_of_birth")
_PART: Final = re.compile(r"num.+purchases")
_OVERLAP: Final = re.compile("deal|discount")
"""Purchases that are counted a second time elsewhere."""


class _Token(NamedTuple):
    """Hold one word of an expression and where it stands."""

    kind: str
    text: str
    position: int


class _Step(NamedTuple):
    """Hold one postfix step: push a column or a number, or work on what was pushed."""

    kind: Literal["column", "number", "binary", "negate"]
    text: str


@dataclass(frozen=True, slots=True)
class Expression:
    """Hold arithmetic on columns, ready to be evaluated batch by batch."""

    text: str
    """As the user wrote it."""
    names: tuple[str, ...]
    """The columns it needs, in order of first mention, as the user spelled them."""
    steps: tuple[_Step, ...]

    @property
    def is_column(self) -> bool:
        """Tell whether it is one column as it stands."""
        return len(self.steps) == 1 and bool(self.names)

    def evaluate(self, columns: Sequence[npt.NDArray[np.float64]], *, size: int) -> npt.NDArray[np.float64]:
        """Return the value of each row, shape (size,).

        NaN in an operand gives NaN; a division by zero or an overflow gives a value that is not finite.

        Args:
            columns: One array of shape (size,) for each of `names`, in that order.
            size: The number of rows, for an expression that names no column.
        """
        by_name = dict(zip(self.names, columns, strict=True))
        stack: list[npt.NDArray[np.float64]] = []
        with np.errstate(all="ignore"):
            for step in self.steps:
                match step.kind:
                    case "column":
                        stack.append(by_name[step.text])
                    case "number":
                        stack.append(np.full(size, float(step.text)))
                    case "negate":
                        stack.append(np.negative(stack.pop()))
                    case "binary":
                        right = stack.pop()
                        stack.append(_BINARY[step.text](stack.pop(), right))
        return stack.pop()


def column_expression(name: str) -> Expression:
    """Return the expression that is one column as it stands, whatever characters its name has."""
    return Expression(text=name, names=(name,), steps=(_Step("column", name),))


def parse_expression(text: str) -> Expression:
    """Parse the right-hand side of a `--map` option.

    Raises:
        ConfigurationError: It is anything but the grammar above, too long or too deeply nested.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigurationError(
            f"The expression {text[:40]!r}... has {len(text)} characters; at most {MAX_LENGTH} are accepted"
        )
    return _Parser(text).parse()


def parse_mapping(options: Sequence[str]) -> dict[str, str]:
    """Split `--map Target=expression` options into a mapping of target to expression.

    Raises:
        ConfigurationError: An option lacks a side, its target is unknown, or a target is given twice.
    """
    mapping: dict[str, str] = {}
    for option in options:
        target, equals, text = option.partition("=")
        if not equals or not text.strip():
            raise ConfigurationError(
                f"--map {option[:80]!r} is not of the form Target=expression, such as 'Income=annual_income'"
            )
        column = find_target(target)
        if column in mapping:
            raise ConfigurationError(
                f"--map gives {column} twice: {mapping[column][:80]!r} and {text.strip()[:80]!r}"
            )
        mapping[column] = text.strip()
    return mapping


def find_target(name: str) -> str:
    """Return the column that can be mapped, in its own spelling, whatever the case of `name`."""
    for column in RAW_COLUMNS:
        if column.casefold() == name.strip().casefold():
            return column
    raise ConfigurationError(f"--map cannot set {name.strip()[:80]!r}; accepted are {', '.join(RAW_COLUMNS)}")


def fold_name(name: str) -> str:
    """Return what makes two column names the same: no outer blanks, no case, one kind of gap."""
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def suggest_mapping(target: str, columns: Sequence[str]) -> str:
    """Return a `--map` option that may supply the target from these columns, ready to be pasted."""
    folded = {fold_name(column): column for column in columns if column.strip()}
    parts = [name for name in folded if _PART.fullmatch(name) and not _OVERLAP.search(name)]
    if target == PURCHASES and len(parts) > 1:
        return _option(target, "+".join(_quoted(folded[name].strip()) for name in parts))
    candidates = [name for name in _ALIASES[target] if name in folded]
    candidates += [name for name in folded if re.search(_STEMS[target], name)]
    candidates += difflib.get_close_matches(target.casefold(), folded, n=1)
    if not candidates:
        return f"--map '{target}=NAME_OF_YOUR_COLUMN'"
    text = _quoted(folded[candidates[0]].strip())
    if candidates[0] in _BIRTH_YEARS:
        text = f"{dt.datetime.now(tz=dt.UTC).year}-{text}"
    elif target == INCOME and "(k" in candidates[0]:
        text += "*1000"
    return _option(target, text)


def find_birth_date(columns: Sequence[str]) -> str | None:
    """Return the column that holds dates of birth, from which arithmetic cannot make an age."""
    return next((column for column in columns if _BIRTH_DATE.fullmatch(fold_name(column))), None)


def _quoted(name: str) -> str:
    if re.fullmatch(r"[^\W\d]\w*", name):
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'


def _option(target: str, text: str) -> str:
    """Return the option as a POSIX shell takes it."""
    escaped = f"{target}={text}".replace("'", "'\"'\"'")
    return f"--map '{escaped}'"


class _Parser:
    """Turn one expression into postfix steps by recursive descent."""

    def __init__(self, text: str) -> None:
        """Split the text into tokens, the first one last."""
        self._text = text
        self._steps: list[_Step] = []
        self._names: list[str] = []
        self._depth = 0
        self._tokens = self._split()[::-1]

    def parse(self) -> Expression:
        """Return the expression, or say why there is none."""
        self._sum()
        if self._tokens:
            raise self._refuse(self._tokens[-1], "where an operator was expected")
        return Expression(text=self._text, names=tuple(self._names), steps=tuple(self._steps))

    def _split(self) -> list[_Token]:
        tokens = []
        position = 0
        while position < len(self._text):
            if self._text[position].isspace():
                position += 1
                continue
            found = _TOKEN.match(self._text, position)
            if found is None:
                raise self._refuse(_Token("", self._text[position], position), "which is not accepted")
            tokens.append(_Token(found.lastgroup or "", found.group(), position))
            position = found.end()
        return tokens

    def _sum(self) -> None:
        self._product()
        while sign := self._take_sign("+-"):
            self._product()
            self._steps.append(_Step("binary", sign))

    def _product(self) -> None:
        self._factor()
        while sign := self._take_sign("*/"):
            self._factor()
            self._steps.append(_Step("binary", sign))

    def _factor(self) -> None:
        if not self._tokens:
            raise self._refuse(None, "where a column or a number was expected")
        token = self._tokens.pop()
        match token.kind, token.text:
            case "number", text:
                if not np.isfinite(float(text)):
                    raise self._refuse(token, "which is too large")
                self._steps.append(_Step("number", text))
            case "word", text:
                self._push_column(text)
            case "quoted", text:
                self._push_column(text[1:-1])
            case "sign", "-" | "(":
                self._nested(token)
            case _:
                raise self._refuse(token, "where a column or a number was expected")

    def _nested(self, token: _Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refuse(token, f"nested deeper than {MAX_DEPTH} levels")
        if token.text == "-":
            self._factor()
            self._steps.append(_Step("negate", "-"))
        else:
            self._sum()
            if not self._take_sign(")"):
                raise self._refuse(self._tokens[-1] if self._tokens else None, "where ) was expected")
        self._depth -= 1

    def _push_column(self, name: str) -> None:
        if name not in self._names:
            self._names.append(name)
        self._steps.append(_Step("column", name))

    def _take_sign(self, accepted: str) -> str:
        if self._tokens and self._tokens[-1].kind == "sign" and self._tokens[-1].text in accepted:
            return self._tokens.pop().text
        return ""

    def _refuse(self, token: _Token | None, problem: str) -> ConfigurationError:
        found = f"{token.text!r} at character {token.position + 1}" if token else "the end"
        return ConfigurationError(
            f"The expression {self._text!r} has {found}, {problem}; accepted are {ACCEPTED}"
        )
