"""Take in a large file by polars: plain rows block by block, all others as the usual rules have it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from service.features import AGE, INCOME, PURCHASES
from service.training.cells import Integers
from service.training.plain import (
    BATCH_ROWS,
    Block,
    Lines,
    is_plain_file,
    parse_block,
    parse_table,
    read_blocks,
)
from service.training.rejects import Reject, list_fields
from service.training.source import RawBatch
from service.training.tally import CensusTally

if TYPE_CHECKING:
    from service.training.intake import Intake

__all__ = ["is_plain_file", "read_plain"]


def read_plain(intake: "Intake") -> Iterator[None]:
    """Take in a file, and yield after every block."""
    if intake.reader.file.format == "parquet":
        for raw in intake.reader.file.batches(rows=BATCH_ROWS):
            _add_table(intake, raw)
            yield
        return
    for lines, before in read_blocks(intake.reader):
        parsed = parse_block(lines, intake.reader)
        if parsed is None:
            _add_lines(intake, lines.text, np.arange(before + 1, before + len(lines.ends) + 1))
        else:
            block, odd = parsed
            _reject_missing(intake, block, before, _split(intake, lines.cut(block.missing)))
            _add_lines(intake, b"".join(odd), before + 1 + block.odd)
            _add_block(intake, block, lines)
        yield


def _split(intake: "Intake", lines: list[bytes]) -> Sequence[Sequence[str]]:
    """Return the fields of lines without quotes."""
    file = intake.reader.file
    return [line.decode().rstrip("\r\n").split(file.delimiter) for line in lines]


def _reject_missing(intake: "Intake", block: Block, before: int, fields: Sequence[Sequence[str]]) -> None:
    """Reject the rows without Age or Purchases; they are written in turn with the odd ones."""
    intake.reader.count(len(block.missing))
    sources = intake.reader.sources
    records = (before + 1 + block.missing).tolist()
    intake.found += [
        Reject(record, sources[place].columns[0], f"{sources[place].target} is missing", row)
        for record, place, row in zip(records, block.blamed.tolist(), fields, strict=True)
    ]


def _add_lines(intake: "Intake", lines: bytes, numbers: Integers) -> None:
    """Take in lines by the usual rules; `numbers` has the records that they are."""
    reader, file = intake.reader, intake.reader.file
    found = list(file.parse_lines(lines)) if lines else []
    file.ragged[:] = [replace(row, record=int(numbers[row.record - 1])) for row in file.ragged]
    for raw in found:
        for batch in reader.judge(RawBatch(raw.table, numbers[raw.records - 1])):
            intake.add(batch)
    intake.reject(None)


def _add_block(intake: "Intake", block: Block, lines: Lines) -> None:
    """Take in the plain rows of a block of lines."""
    file = intake.reader.file

    def rows(places: Integers) -> pa.Table:
        parts = file.parse_lines(b"".join(lines.cut(block.places[places])))
        return pa.concat_tables([part.table for part in parts])

    _add_plain(intake, block, rows)


def _add_table(intake: "Intake", raw: RawBatch) -> None:
    """Take in a part of a Parquet file."""
    block = parse_table(raw.table, intake.reader)
    missing = list_fields(raw.table.take(pa.array(block.missing))) if len(block.missing) else []
    _reject_missing(intake, block, int(raw.records[0]) - 1, missing)
    if len(block.odd):
        odd = raw.table.take(pa.array(block.odd))
        for batch in intake.reader.judge(RawBatch(odd, raw.records[block.odd])):
            intake.add(batch)
    intake.reject(None)
    _add_plain(intake, block, lambda places: raw.table.take(pa.array(block.places[places])))


def _add_plain(intake: "Intake", block: Block, rows: Callable[[Integers], pa.Table]) -> None:
    if not len(block.places):
        return
    intake.reader.count(len(block.places))
    assert isinstance(intake.tally, CensusTally)  # noqa: S101  # what small files have is not read here
    intake.tally.add_plain(
        (block.frame[AGE].to_numpy(), block.frame[INCOME].to_numpy(), block.frame[PURCHASES].to_numpy()),
        block.cells(),
        rows=rows,
        positions=intake.positions,
    )
    if intake.id_position is not None:
        intake.tally.add_ids(rows(np.arange(len(block.places))).column(intake.id_position))
