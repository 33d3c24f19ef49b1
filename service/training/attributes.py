"""Keep the columns that the model does not take, where they sort customers into a few kinds: Gender, say.

They are never an input. They are kept to tell whether the segments differ in them nonetheless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from service.training.expression import fold_name

MAX_VALUES: Final = 20
"""A column with more values does not sort customers into kinds: it is an id, a date or an amount."""

_PEEK: Final = 1_000
"""Records of a batch that are looked at before all of them are."""

UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Attribute:
    """Hold one column that is no input."""

    column: str
    values: tuple[str, ...]
    codes: npt.NDArray[np.int8]
    """The position in `values` for each record of the data set, -1 where there is none; (n_samples,)."""


@dataclass(slots=True)
class _Column:
    name: str
    codes: list[npt.NDArray[np.int8]]
    values: dict[str, int] = field(default_factory=dict)


class AttributeTally:
    """Gather the values of columns, batch by batch, and let go of those that have too many."""

    def __init__(self, columns: Sequence[str]) -> None:
        """Name the columns; of several spellings the first is shown."""
        self._columns: dict[str, _Column] = {}
        for column in columns:
            self._columns.setdefault(fold_name(column), _Column(column, []))

    def add(self, table: pa.Table, *, positions: Mapping[str, int], is_usable: npt.NDArray[np.bool_]) -> None:
        """Keep what the usable rows of a batch hold.

        Args:
            table: A batch of a file.
            positions: Of the columns in it, by folded name; a file may lack some.
            is_usable: Which rows are part of the data set, shape (n_rows,).
        """
        size = int(is_usable.sum())
        mask = None if size == len(is_usable) else pa.array(is_usable)
        for folded, column in list(self._columns.items()):
            if folded not in positions:
                column.codes.append(np.full(size, UNKNOWN, dtype=np.int8))
                continue
            cells = table.column(positions[folded])
            codes = _encode(cells if mask is None else cells.filter(mask), column.values)
            if codes is None:
                del self._columns[folded]
            else:
                column.codes.append(codes)

    def attributes(self) -> tuple[Attribute, ...]:
        """Return the columns that are left and hold anything."""
        return tuple(
            Attribute(column.name, tuple(column.values), np.concatenate(column.codes))
            for column in self._columns.values()
            if column.values
        )


def _encode(cells: pa.ChunkedArray, values: dict[str, int]) -> npt.NDArray[np.int8] | None:
    """Return the code of each cell, adding to `values`; None when there are too many of them."""
    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type):
        return None
    if pc.count_distinct(cells.slice(0, _PEEK)).as_py() > 2 * MAX_VALUES:
        return None
    return encode_values(cells, values)


def encode_values(cells: pa.ChunkedArray, values: dict[str, int]) -> npt.NDArray[np.int8] | None:
    """Return the code of each cell, adding to `values`; None when there are too many, or they are no text."""
    try:
        encoded = pc.utf8_trim_whitespace(cells.cast(pa.string())).combine_chunks().dictionary_encode()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    texts = encoded.dictionary.to_pylist()
    for text in texts:
        if text:
            values.setdefault(text, len(values))
    if len(values) > MAX_VALUES:
        return None
    lookup = np.array([*(values.get(text, UNKNOWN) for text in texts), UNKNOWN], dtype=np.int8)
    indices = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    found: npt.NDArray[np.int8] = lookup[indices]
    return found
