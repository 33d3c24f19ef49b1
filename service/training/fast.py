"""Take in a large file block by block: plain rows the fastest way, all others by the usual rules."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from service.training.blocks import Block, Lines, read_blocks
from service.training.cells import Integers
from service.training.customers import CustomerReader
from service.training.rejects import Reject, RejectedLines, list_fields
from service.training.source import RawBatch
from service.training.tally import CensusTally

if TYPE_CHECKING:
    from service.training.intake import Intake

BATCH_ROWS: Final = 131_072

Parse = Callable[[Lines, CustomerReader], tuple[Block, list[bytes]] | None]
"""Returns the plain rows of a block and the lines of the odd ones, None where it is not worth it."""


def read_lines(intake: "Intake", parsers: Sequence[Parse]) -> Iterator[None]:
    """Take in a CSV file by the first that can read a block of it, and yield after every block."""
    for lines, before in read_blocks(intake.reader):
        found = (parse(lines, intake.reader) for parse in parsers)
        parsed = next((one for one in found if one is not None), None)
        if parsed is None:
            _add_lines(intake, lines.text, np.arange(before + 1, before + len(lines.ends) + 1))
        else:
            block, odd = parsed
            _reject_lines(intake, block, before, lines)
            _add_lines(intake, b"".join(odd), before + 1 + block.odd)
            _add_block(intake, block, lines)
        yield


def read_table(intake: "Intake", parse: Callable[[pa.Table, CustomerReader], Block]) -> Iterator[None]:
    """Take in a Parquet file, and yield after every part of it."""
    for raw in intake.reader.file.batches(rows=BATCH_ROWS):
        _add_table(intake, raw, parse(raw.table, intake.reader))
        yield


def _reject_lines(intake: "Intake", block: Block, before: int, lines: Lines) -> None:
    """Reject the rows without Age or Purchases; they are written in turn with the odd ones."""
    if len(block.missing):
        intake.reader.count(len(block.missing))
        cut = lines.cut(block.missing)
        numbers, blamed = (before + 1 + block.missing).tolist(), block.blamed.tolist()
        intake.reject_lines(RejectedLines(cut, numbers, blamed, _problems(intake)))


def _problems(intake: "Intake") -> Sequence[tuple[str, str]]:
    return [(source.columns[0], f"{source.target} is missing") for source in intake.reader.sources]


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


def _add_table(intake: "Intake", raw: RawBatch, block: Block) -> None:
    """Take in a part of a Parquet file."""
    if len(block.missing):
        intake.reader.count(len(block.missing))
        fields = list_fields(raw.table.take(pa.array(block.missing)))
        numbers, problems = (raw.records[0] + block.missing).tolist(), _problems(intake)
        intake.reject_ahead(
            Reject(number, column=problems[place][0], reason=problems[place][1], fields=row)
            for number, place, row in zip(numbers, block.blamed.tolist(), fields, strict=True)
        )
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
        block.columns,
        rows=rows,
        positions=intake.positions,
        make_cells=block.make_cells,
    )
    if intake.id_position is not None:
        intake.tally.add_ids(rows(np.arange(len(block.places))).column(intake.id_position))
