"""Find Age, Income and Purchases among the columns of a file, by name or as the user mapped them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.errors import ConfigurationError, DatasetError
from service.features import AGE, RAW_COLUMNS
from service.training.expression import (
    Expression,
    column_expression,
    find_birth_date,
    find_target,
    fold_name,
    parse_expression,
    suggest_mapping,
)
from service.training.numbers import Decimal


@dataclass(frozen=True, slots=True)
class Source:
    """Say where one file keeps Age, Income or Purchases."""

    target: str
    expression: Expression
    positions: tuple[int, ...]
    """The columns of the file that the expression needs, in the order of its names."""
    columns: tuple[str, ...]
    """The same in the file's own spelling."""

    @property
    def text(self) -> str:
        """What the target is made of: the file's own column, or the user's expression."""
        return self.columns[0] if self.expression.is_column else self.expression.text

    @property
    def blamed(self) -> str:
        """The column to name when the value itself is wrong, not an operand."""
        return self.columns[0] if self.expression.is_column else self.target


class ColumnMap:
    """Find the needed columns in any file, by name or as the user mapped them."""

    def __init__(
        self, mapping: Mapping[str, str], *, decimal: str = ".", trained: Mapping[str, str] | None = None
    ) -> None:
        """Take `--map` and `--decimal`.

        Args:
            mapping: Expressions for Age, Income and Purchases where a column of that name will not do.
            decimal: What stands before the fraction in text, "." or ",".
            trained: The same of the training data, for what neither the file nor the mapping has.

        Raises:
            ConfigurationError: A target or the decimal sign is not accepted.
        """
        if decimal not in (".", ","):
            raise ConfigurationError(f"--decimal {decimal!r} is not accepted; it is '.' or ','")
        self.decimal: Decimal = "," if decimal == "," else "."
        self._mapping = {find_target(target): text for target, text in mapping.items()}
        self._trained = trained or {}

    def resolve(self, columns: Sequence[str], *, name: str) -> tuple[Source, ...]:
        """Return the sources of Age, Income and Purchases, in this order.

        Raises:
            DatasetError: A column is missing, or two cannot be told apart.
            ConfigurationError: An expression is neither a column nor arithmetic on columns.
        """
        positions = locate_columns(columns, name=name)
        sources = []
        missing = []
        for target in RAW_COLUMNS:
            text = self._mapping.get(target, target)
            if fold_name(text) in positions:
                expression = column_expression(text)
            elif target in self._mapping:
                expression = parse_expression(text)
            elif (trained := self._trained_expression(target, positions)) is not None:
                expression = trained
            else:
                missing.append(target)
                continue
            found = [positions.get(fold_name(operand)) for operand in expression.names]
            if None in found:
                unknown = expression.names[found.index(None)]
                raise DatasetError(
                    f"{name} has no column {unknown!r}, which {target}={text} needs. {_list(columns)}"
                )
            places = tuple(place for place in found if place is not None)
            sources.append(Source(target, expression, places, tuple(columns[place] for place in places)))
        if missing:
            raise DatasetError(_explain_missing(missing, columns=columns, name=name))
        return tuple(sources)

    def _trained_expression(self, target: str, positions: Mapping[str, int]) -> Expression | None:
        """Return what stood for a column in training, if this file has all that it needs."""
        text = self._trained.get(target)
        if text is None:
            return None
        expression = column_expression(text) if fold_name(text) in positions else parse_expression(text)
        return expression if all(fold_name(name) in positions for name in expression.names) else None


def locate_columns(columns: Sequence[str], *, name: str) -> dict[str, int]:
    """Return the position of each column by its folded name.

    Raises:
        DatasetError: Two have the same folded name, so that none can be chosen.
    """
    positions: dict[str, int] = {}
    for position, column in enumerate(columns):
        first = positions.setdefault(fold_name(column), position)
        if first != position and fold_name(column):
            raise DatasetError(
                f"{name} has two columns of one name, {columns[first]!r} and {column!r}; rename one"
            )
    positions.pop("", None)
    return positions


def _explain_missing(missing: Sequence[str], *, columns: Sequence[str], name: str) -> str:
    suggestions = " ".join(suggest_mapping(target, columns) for target in missing)
    message = f"{name} has no column {' and no column '.join(missing)}. {_list(columns)} Try {suggestions}"
    if AGE in missing and (birth_date := find_birth_date(columns)):
        message += f" {birth_date!r} cannot be mapped to Age, dates are not read: add a column with the age"
    return message


def _list(columns: Sequence[str]) -> str:
    return f"Its columns are {', '.join(repr(column) for column in columns)}."
