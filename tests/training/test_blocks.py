"""Large files are divided into blocks of whole lines, however long these are."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from service.training import blocks
from service.training.customers import read_customers

HEADER = b"Age,Income,Purchases\n"


def divide(folder: Path, lines: Sequence[bytes]) -> list[bytes]:
    path = folder / "customers.csv"
    path.write_bytes(HEADER + b"".join(lines))
    reader = read_customers(path, mapping={})
    return [bytes(block) for block in blocks.read_blocks(reader)]


@pytest.mark.parametrize("first_bytes", [7, 64])
@pytest.mark.parametrize("line_bytes", [1, 3, 64])
def test_blocks_are_whole_lines_and_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line_bytes: int, first_bytes: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(blocks, "FIRST_BYTES", first_bytes)
    monkeypatch.setattr(blocks, "_LINE_BYTES", line_bytes)
    sizes = [3, 40, 90, 2, 300, 5, 63, 64, 65, 1, 128, 7]
    lines = [b"%d" % (number % 10) * size + b"\n" for number, size in enumerate(sizes)]
    found = divide(tmp_path, lines)

    assert b"".join(found) == b"".join(lines)
    assert all(block.endswith(b"\n") for block in found)
    assert len(found) > 4


def test_a_last_line_may_have_no_end(tmp_path: Path) -> None:
    assert divide(tmp_path, [b"1,2,3\n", b"4,5,6"]) == [b"1,2,3\n", b"4,5,6\n"]
