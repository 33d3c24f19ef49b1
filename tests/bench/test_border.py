"""The border between one machine and Spark is read off lines through what was measured."""

import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from bench.border import (
    PAGE,
    BorderRun,
    Line,
    conclude,
    draw_line,
    explain_border,
    list_family,
    render,
    replace_table,
)


def test_the_line_goes_through_the_smallest_and_the_largest_run() -> None:
    runs = [
        BorderRun("spark", "csv", records, wall_s, 1.0, 1.0)
        for records, wall_s in ((10_000_000, 40.0), (1_000_000, 22.0), (5_000_000, 99.0))
    ]

    line = draw_line(runs)

    assert line.start_s == pytest.approx(20.0)
    assert line.per_record_s == pytest.approx(2e-6)


def test_the_border_is_where_the_lines_cross() -> None:
    said = explain_border(Line(1.0, 3e-6), Line(21.0, 1e-6))

    assert said == "Spark is faster from 10,000,000 records on (extrapolated)"


def test_lines_that_do_not_cross_are_said_not_to() -> None:
    said = explain_border(Line(1.0, 1e-6), Line(21.0, 4e-6))

    assert said.startswith("no crossing on this machine: each record takes Spark 4.0 times as long")


def test_one_size_makes_no_line() -> None:
    runs = [BorderRun(engine, "csv", 1000, 2.0, 1.0, 1.0) for engine in ("polars", "spark")]

    assert conclude(runs) == {}
    assert list(conclude([*runs, *(replace(run, records=3000) for run in runs)])) == ["csv"]


def test_the_page_keeps_all_but_its_table() -> None:
    page = PAGE.read_text()
    run = asdict(BorderRun("spark", "csv", 1_000_000, 20.0, 35.0, 900.0))
    table = render({"date": "2026-11-24", "machine": "2 cores", "runs": [run], "border": {"csv": "far off"}})

    found = replace_table(page, table)

    assert "| 1,000,000 | csv | spark | 20.0 | 35.0 | 900 | 50,000 |\n" in found
    assert "- csv: far off.\n" in found
    assert replace_table(found, render({"date": "", "machine": "", "runs": [], "border": {}})) != found
    assert replace_table(replace_table(found, "x\n"), table) == found
    start = page.index("<!-- written by")
    assert found[:start] == page[:start]
    with pytest.raises(ValueError, match="no place for the table"):
        replace_table("# Spark", table)


def test_the_memory_of_children_counts() -> None:
    program = (
        "import subprocess, sys; print(flush=True); "
        "subprocess.run([sys.executable, '-c', 'print(flush=True); input()'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert process.stdout.readline()
        found = list_family(process.pid)
        process.communicate("\n")

    assert len(found) == 2
    assert process.pid in found
    assert os.getpid() not in found
    assert all(size > 1 << 20 for size, _ in found.values())
