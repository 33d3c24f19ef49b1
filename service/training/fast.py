"""Take in a large file block by block: plain rows the fastest way, all others by the usual rules."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import pyarrow as pa

from service.training.blocks import BLOCKS_AHEAD, Block, Lines, read_blocks
from service.training.cells import Integers
from service.training.column_reader import ColumnReader, ReadColumns
from service.training.customers import CustomerReader
from service.training.reject_texts import Found
from service.training.row_reader import Begun, ReadRows, RowReader
from service.training.source import CustomerFile, RawBatch
from service.training.tally import CensusTally

if TYPE_CHECKING:
    from service.training.intake import Intake

BATCH_ROWS: Final = 262_144
"""While modules are imported, the interpreter's lock is lost several times a batch, however large it is."""

Part = TypeVar("Part")

Parts = Sequence[tuple[memoryview, Begun | None]]
"""Lines, and what reads them already."""

Parse = Callable[[Lines, CustomerReader], tuple[Block, list[bytes]] | None]
"""Returns the plain rows of a block and the lines of the odd ones, None where it is not worth it."""


def read_lines(intake: "Intake", rows: RowReader | None, parse: Parse | None) -> Iterator[None]:
    """Take in a CSV file and yield after every block; what neither can read is read by the usual rules."""
    before = intake.reader.file.header_records
    for parts in _begin_ahead(intake, rows):
        for text, begun in parts:
            before, rest = _read_rows(intake, rows, text, before=before, begun=begun)
            if rest:
                before += _add_text(intake, Lines(bytes(rest)), before, parse)
        yield
    if rows is not None:
        _add_rows(intake, rows.take())


def _begin_ahead(intake: "Intake", rows: RowReader | None) -> Iterator[Parts]:
    """Yield the parts of each block, when those of the next ones are being read."""
    ahead: deque[Parts] = deque()
    for block in read_blocks(intake.reader):
        if rows is None:
            yield [(block, None)]
            continue
        ahead.append(rows.begin(block, below=_tally(intake).census.drawing.below))
        while ahead and (rows.draws_all or len(ahead) > BLOCKS_AHEAD):
            yield ahead.popleft()
    yield from ahead


def _read_rows(
    intake: "Intake", rows: RowReader | None, text: memoryview, *, before: int, begun: Begun | None
) -> tuple[int, memoryview]:
    """Read as many lines as the kernel reads, and return the records before the others, and these."""
    has_more_plain = rows is not None
    while rows is not None and has_more_plain and text:
        below = _tally(intake).census.drawing.below
        size, records, has_more_plain = rows.read(text, before=before, below=below, begun=begun)
        text, before, begun = text[size:], before + records, None
        if rows.is_full or not has_more_plain:
            _add_rows(intake, rows.take())
    return before, text


def _add_rows(intake: "Intake", found: ReadRows) -> None:
    """Take in what was read of many lines."""
    file = intake.reader.file
    intake.reader.count(len(found.missing) + found.plain.used)
    if len(found.missing):
        intake.reject_lines(_find(intake, found.missing, found.blamed), found.missing_lines)
    _add_lines(intake, found.odd_lines, found.odd)

    def rows(places: Integers) -> pa.Table:
        drawn = _parse(file, found.drawn_lines)
        return drawn if len(places) == drawn.num_rows else drawn.take(pa.array(places))

    tally = _tally(intake)
    tally.add_summed(found.plain, rows=rows, positions=intake.positions)
    if intake.id_position is not None and found.plain_lines:
        tally.add_ids(_parse(file, found.plain_lines).column(intake.id_position))


def _add_text(intake: "Intake", lines: Lines, before: int, parse: Parse | None) -> int:
    """Take in the lines after so many records, and return how many are in them."""
    records = len(lines.ends) + lines.lone_returns
    parsed = None if parse is None else parse(lines, intake.reader)
    if parsed is None:
        _add_lines(intake, lines.text, np.arange(before + 1, before + records + 1))
        return records
    block, odd = parsed
    intake.reader.count(len(block.missing) + len(block.places))
    if len(block.missing):
        missing = b"".join(lines.cut(block.missing))
        intake.reject_lines(_find(intake, before + 1 + block.missing, block.blamed), missing)
    _add_lines(intake, b"".join(odd), before + 1 + block.odd)
    _add_plain(
        intake, block, lambda places: _parse(intake.reader.file, b"".join(lines.cut(block.places[places])))
    )
    return records


def read_columns(intake: "Intake", columns: ColumnReader) -> Iterator[None]:
    """Take in a Parquet file by the kernel, and yield after every part of it."""
    drawing = _tally(intake).census.drawing
    batches = _read_ahead(intake.reader.file.batches(rows=BATCH_ROWS))
    # One thread decodes, one adds up, and here is taken in what is left.
    for raw, found in _read_ahead((raw, columns.read(raw.table, below=drawing.below)) for raw in batches):
        _add_columns(intake, raw, found)
        yield


def read_table(intake: "Intake", parse: Callable[[pa.Table, CustomerReader], Block]) -> Iterator[None]:
    """Take in a Parquet file, and yield after every part of it."""
    batches = intake.reader.file.batches(rows=BATCH_ROWS)
    for raw, block in _read_ahead((raw, parse(raw.table, intake.reader)) for raw in batches):
        intake.reader.count(len(block.missing) + len(block.places))
        _reject_and_judge(intake, raw, missing=block.missing, blamed=block.blamed, odd=block.odd)
        _add_plain(intake, block, _taker(raw, block.places))
        yield


def _read_ahead(parts: Iterator[Part]) -> Iterator[Part]:
    """Read each part in a thread while the one before it is taken in."""
    with ThreadPoolExecutor(max_workers=1) as threads:
        following = threads.submit(next, parts, None)
        while (part := following.result()) is not None:
            following = threads.submit(next, parts, None)
            yield part


def _find(intake: "Intake", records: Integers, blamed: Integers) -> Found:
    """Say which records lack Age or Purchases."""
    problems = [(source.columns[0], f"{source.target} is missing") for source in intake.reader.sources]
    return Found(records, blamed, problems)


def _add_lines(intake: "Intake", lines: bytes, numbers: Integers) -> None:
    """Take in lines by the usual rules; `numbers` has the records that they are."""
    reader, file = intake.reader, intake.reader.file
    found = list(file.parse_lines(lines)) if lines else []
    file.ragged[:] = [replace(row, record=int(numbers[row.record - 1])) for row in file.ragged]
    for raw in found:
        for batch in reader.judge(RawBatch(raw.table, numbers[raw.records - 1])):
            intake.add(batch)
    intake.reject(None)


def _parse(file: CustomerFile, lines: bytes) -> pa.Table:
    """Return plain lines as a table."""
    return pa.concat_tables([part.table for part in file.parse_lines(lines)])


def _add_columns(intake: "Intake", raw: RawBatch, found: ReadColumns) -> None:
    """Take in what was read of a part of a Parquet file."""
    intake.reader.count(len(found.missing) + found.plain.used)
    _reject_and_judge(intake, raw, missing=found.missing, blamed=found.blamed, odd=found.odd)
    tally = _tally(intake)
    tally.add_summed(found.plain, rows=_taker(raw, found.drawn), positions=intake.positions)
    if intake.id_position is not None and len(found.used):
        tally.add_ids(raw.table.column(intake.id_position).take(pa.array(found.used)))


def _reject_and_judge(
    intake: "Intake", raw: RawBatch, *, missing: Integers, blamed: Integers, odd: Integers
) -> None:
    """Take in the rows of a part of a Parquet file that are not plain."""
    if len(missing):
        found = _find(intake, raw.records[missing], blamed)
        intake.reject_rows(found, raw.table.take(pa.array(missing)))
    if len(odd):
        for batch in intake.reader.judge(RawBatch(raw.table.take(pa.array(odd)), raw.records[odd])):
            intake.add(batch)
    intake.reject(None)


def _taker(raw: RawBatch, rows: Integers) -> Callable[[Integers], pa.Table]:
    return lambda places: raw.table.take(pa.array(rows[places]))


def _add_plain(intake: "Intake", block: Block, rows: Callable[[Integers], pa.Table]) -> None:
    if not len(block.places):
        return
    tally = _tally(intake)
    tally.add_plain(block.columns, rows=rows, positions=intake.positions, make_cells=block.make_cells)
    if intake.id_position is not None:
        tally.add_ids(rows(np.arange(len(block.places))).column(intake.id_position))


def _tally(intake: "Intake") -> CensusTally:
    assert isinstance(intake.tally, CensusTally)  # noqa: S101  # what small files have is not read here
    return intake.tally
