"""What the kernel returns of lines, and what it refuses to be given."""

from typing import Any

import numpy as np
import pytest

from service.training.drawing import PRIME, hash_customers

LINES = b"1,30,5,,f\n2,,5,1000.5,m\n3,40,0,2000,f\n4,x,1,1,m\n5,41,,3000,m\n6,0.5,7,4e3,f\n"
LAYOUT = (ord(","), 5, (1, 3, 2))


def add(
    sums: Any, text: bytes, *, below: int = PRIME, most_drawn: int = 10_000, wants_plain: bool = True
) -> Any:
    return sums.add_lines(text, *LAYOUT, below, most_drawn, wants_plain)


def test_each_row_is_returned_as_what_it_is(extension: Any) -> None:
    sums = extension.Sums()
    size, rows, plain, no_purchases, has_more_plain, *found = add(sums, LINES)
    drawn, drawn_lines, plain_lines, no_incomes, missing, missing_lines, odd, odd_lines = found

    assert (size, rows, plain, no_purchases, has_more_plain) == (len(LINES), 6, 3, 1, 1)
    lines = LINES.splitlines(keepends=True)
    assert drawn_lines == plain_lines == lines[0] + lines[2] + lines[5]
    assert (missing_lines, odd_lines) == (lines[1] + lines[4], lines[3])
    assert np.frombuffer(no_incomes).tolist() == [30.0, 5.0]
    assert np.frombuffer(missing, dtype=np.int64).tolist() == [1, extension.NO_AGE, 4, extension.NO_PURCHASES]
    assert np.frombuffer(odd, dtype=np.int64).tolist() == [3, extension.ODD]
    numbers = np.frombuffer(drawn).reshape(-1, 4)[:, :3]
    hashes = np.frombuffer(drawn, dtype=np.int64).reshape(-1, 4)[:, 3]
    assert np.array_equal(
        numbers, [[30.0, np.nan, 5.0], [40.0, 2000.0, 0.0], [0.5, 4000.0, 7.0]], equal_nan=True
    )
    assert np.array_equal(hashes, hash_customers(*(column.copy() for column in numbers.T)))
    assert len(sums.cells()) == 2 * 64


def test_rows_of_numbers_are_returned_as_what_they_are(extension: Any) -> None:
    """The same as in lines; what stands where nothing is there does not matter."""
    kind = extension.KINDS["<f8"]
    ages = (np.array([9.0, 30, 8, 40, 1, 41, 0.5]).tobytes(), b"\xfb", 1, kind)
    incomes = (np.array([7.0, np.nan, 1000.5, 2000, -1, 3000, 4e3]).tobytes(), b"\xfd", 1, kind)
    purchases = (np.array([5, 5, 0, 1, 77, 7], dtype=np.uint16).tobytes(), b"\xef", 0, extension.KINDS["<u2"])
    sums, lines = extension.Sums(), extension.Sums()
    size, rows, plain, no_purchases, has_more_plain, *found = sums.add_columns(
        6, ages, incomes, purchases, PRIME, True
    )
    expected = add(lines, LINES)[5:]
    drawn, drawn_rows, plain_rows, no_incomes, missing, missing_rows, odd, odd_rows = found

    assert (size, rows, plain, no_purchases, has_more_plain) == (6, 6, 3, 1, 1)
    assert (drawn, no_incomes, missing, odd) == (expected[0], expected[3], expected[4], expected[6])
    assert sorted(np.frombuffer(sums.cells(), "V64").tolist()) == sorted(
        np.frombuffer(lines.cells(), "V64").tolist()
    )
    assert sums.incomes() == lines.incomes()
    for found_rows, numbers in (
        (drawn_rows, [0, 2, 5]),
        (plain_rows, [0, 2, 5]),
        (missing_rows, [1, 4]),
        (odd_rows, [3]),
    ):
        assert np.frombuffer(found_rows, dtype=np.int64).tolist() == numbers


def test_of_columns_only_those_with_a_low_hash_are_drawn(extension: Any) -> None:
    random = np.random.default_rng(1)
    columns = [random.integers(1, 99, 5000).astype(np.float64) for _ in range(3)]
    numbers = [(column.tobytes(), None, 0, extension.KINDS["<f8"]) for column in columns]
    found = extension.Sums().add_columns(5000, *numbers, PRIME // 8, False)
    expected = np.flatnonzero(hash_customers(*columns) < PRIME // 8)

    assert np.frombuffer(found[6], dtype=np.int64).tolist() == expected.tolist()
    assert 400 < len(expected) < 900
    assert found[7] == b""


FULL = (bytes(80), None, 0, 1)


@pytest.mark.parametrize(
    ("n", "column", "problem"),
    [
        (11, FULL, "too short"),
        (10, (bytes(80), None, 1, 1), "too short"),
        (9, (bytes(80), bytes(1), 0, 1), "too short"),
        (8, (bytes(80), bytes(1), 1, 1), "too short"),
        (10, (bytes(80), None, -1, 1), "out of range"),
        (10, (bytes(80), None, 2**60, 1), "out of range"),
        (10, (bytes(80), None, 0, -1), "out of range"),
        (10, (bytes(80), None, 0, 10), "out of range"),
        (-1, FULL, "so many rows"),
        (2**62, FULL, "so many rows"),
    ],
)
def test_columns_that_cannot_be_are_refused(
    extension: Any, n: int, column: tuple[Any, ...], problem: str
) -> None:
    sums = extension.Sums()
    for place in range(3):
        columns = [FULL, FULL, FULL]
        columns[place] = column
        with pytest.raises(ValueError, match=problem):
            sums.add_columns(n, *columns, PRIME, False)
    with pytest.raises(TypeError):
        sums.add_columns(1, FULL, list(FULL), FULL, PRIME, False)

    assert sums.cells() == b""
    assert sums.add_columns(0, FULL, FULL, FULL, PRIME, True)[:5] == (0, 0, 0, 0, 1)


def test_hashes_are_those_of_numpy(extension: Any) -> None:
    random = np.random.default_rng(0)
    columns = [np.exp(random.uniform(-7, 40, 20_000)) for _ in range(3)]
    columns[1][::7] = np.nan
    columns[2][::5] = 0.0
    hashes = np.empty(20_000, dtype=np.int64)
    extension.Sums().add(*columns, hashes)

    assert np.array_equal(hashes, hash_customers(*columns))


def test_it_stops_where_enough_are_drawn_and_goes_on_from_there(extension: Any) -> None:
    text = b"".join(b"%d,%d,%d,%d,f\n" % (n, 20 + n % 50, n % 9, 1000 + n) for n in range(3000))
    whole, pieces = extension.Sums(), extension.Sums()
    expected = add(whole, text)
    drawn, done = b"", 0
    while done < len(text):
        found = add(pieces, text[done:], most_drawn=10, wants_plain=False)
        assert 0 < found[0] < len(text)
        assert found[7] == b""
        drawn, done = drawn + found[5], done + found[0]

    assert drawn == expected[5]
    assert sorted(np.frombuffer(pieces.cells(), dtype="V64").tolist()) == sorted(
        np.frombuffer(whole.cells(), dtype="V64").tolist()
    )
    assert pieces.incomes() == whole.incomes()


@pytest.mark.parametrize(
    ("text", "layout", "most_drawn", "problem"),
    [
        (b"1,2,3", (ord(","), 3, (0, 1, 2)), 1, "must end with a line feed"),
        (b"1,2,3\n", (ord("."), 3, (0, 1, 2)), 1, "that no number holds"),
        (b"1,2,3\n", (0, 3, (0, 1, 2)), 1, "that no number holds"),
        (b"1,2,3\n", (200, 3, (0, 1, 2)), 1, "that no number holds"),
        (b"1,2,3\n", (ord(","), 3, (0, 1, 3)), 1, "not within the row"),
        (b"1,2,3\n", (ord(","), 3, (-1, 1, 2)), 1, "not within the row"),
        (b"1,2,3\n", (ord(","), 3, (0, 1, 2)), 0, "must be room"),
    ],
)
def test_what_cannot_be_read_is_refused(
    extension: Any, text: bytes, layout: tuple[Any, ...], most_drawn: int, problem: str
) -> None:
    sums = extension.Sums()
    with pytest.raises(ValueError, match=problem):
        sums.add_lines(text, *layout, PRIME, most_drawn, False)

    assert sums.add_lines(b"", ord(","), 3, (0, 1, 2), PRIME, 1, True)[:5] == (0, 0, 0, 0, 1)
