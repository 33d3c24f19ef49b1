"""Versions, live figures, drift and the contract checks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.artifact import read_artifact
from service.store import Store
from tests.browser.conftest import Page, Staged
from tests.conftest import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_versions_are_listed_and_two_compared(page: Page, site: RunningServer, two_versions: Path) -> None:
    newest, oldest = Store(two_versions).versions()
    page.open(site.url, "versions")
    page.wait(lambda: page.find(".matrix tbody tr"), what="the comparison")

    rows = [row.text for row in page.find("section:first-of-type tbody tr")]
    assert newest in rows[0]
    assert "serving" in rows[0]
    assert oldest in rows[1]
    older, newer = (read_artifact(Store(two_versions).resolve(name)) for name in (oldest, newest))
    sample = json.loads(newer.files["training.json"])["baseline"]["sample"]
    pairs = list(zip(sample["Age"], sample["Spending_Power"], strict=True))
    kept = sum(
        older.model.partition.assign_one(*pair) == newer.model.partition.assign_one(*pair) for pair in pairs
    )
    assert page.text(".figure") == f"{kept / len(pairs) * 100:.1f} %"


def test_live_shows_the_figures_and_follows_them(page: Page, staged: Staged) -> None:
    live = {
        "requests": 10,
        "errors": 1,
        "latency_ms": {"p50": 0.5, "p90": 1.5, "p99": 9.5},
        "records_by_segment": {"0": 5},
        "minutes": [
            {"minute": 29_380_000, "requests": 10, "errors": 1, "p50_ms": 0.5, "p99_ms": 9.5, "records": 5}
        ],
        "drift": None,
    }
    staged.live = live
    page.open(staged.url, "live")
    page.wait_for_text("0.50 ms")
    tiles = [tile.text for tile in page.find(".tile")]
    assert tiles[0].split() == ["Requests", "10"]
    assert "10.0 %" in tiles[1]

    staged.live = {**live, "requests": 4321}
    page.wait_for_text("4,321")
    staged.live = {
        **live,
        "requests": 0,
        "errors": 0,
        "latency_ms": {"p50": None, "p90": None, "p99": None},
        "minutes": [],
    }
    page.wait_for_text("No request yet")


def test_live_reads_totals_and_a_series(page: Page, staged: Staged) -> None:
    point = {
        "requests": 7,
        "errors": 0,
        "p50_ms": 0.25,
        "p95_ms": 0.75,
        "p99_ms": 4.5,
        "records": {"0": 3, "2": 9},
    }
    staged.live = {
        "interval_s": 15,
        "total": {**point, "requests": 5021},
        "series": [{"time": 1_795_000_000, **point}],
        "drift": {"records": 12, "psi": {"Age": 0.3}},
    }
    page.open(staged.url, "live")
    page.wait_for_text("5,021")

    assert "0.25 ms" in page.text(".tiles")
    assert "19 of 20 within" in page.text(".tiles")
    assert "Requests in 15 seconds, at most 7" in page.text()
    assert [row.text.split()[-1] for row in page.find(".bars tbody tr")] == ["3", "0", "9", "0"]
    page.open(staged.url, "versions")
    page.wait_for_text("has moved far: train again")


def test_a_server_without_live_figures_says_so(page: Page, staged: Staged) -> None:
    staged.live = None
    page.open(staged.url, "live")
    page.wait_for_text("No live figures")
    page.open(staged.url, "versions")
    page.wait_for_text("so the drift is not known")


def test_drift_is_judged(page: Page, staged: Staged) -> None:
    staged.live = {
        "requests": 1,
        "errors": 0,
        "latency_ms": {},
        "records_by_segment": {},
        "minutes": [],
        "drift": {"Age": 0.05, "Income": 0.2, "Spending_Power": 0.9},
    }
    page.open(staged.url, "versions")
    page.wait(lambda: page.find(".drift"), what="the drift")

    assert [row.text.replace("\n", " ") for row in page.find(".drift tbody tr")] == [
        "Age 0.050 as at training",
        "Income 0.200 has moved: watch",
        "Spending Power 0.900 has moved far: train again",
    ]


def test_the_contract_checks_run_from_the_page(page: Page, staged: Staged) -> None:
    page.open(staged.url, "conformance")
    page.press("Run the checks")
    page.wait_for_text("1 of 3 clauses do not hold")
    rows = [row.text for row in page.find(".verdicts tbody tr")]

    assert rows[0].startswith("C28 Failed")
    assert rows[1].startswith("C13 Passed")
    assert rows[2].startswith("C68 Skipped")
    assert staged.url in rows[0]
    page.press("Passed 1")
    page.wait(lambda: len(page.find(".verdicts tbody tr")) == 1, what="the passed ones alone")


def test_the_real_command_gives_verdicts_or_the_page_says_it_is_missing(
    page: Page, site: RunningServer
) -> None:
    page.open(site.url, "conformance")
    page.press("Run the checks")
    page.wait(
        lambda: "Run again" in [b.text for b in page.find("button")],
        what="the end of the run",
        deadline_s=240,
    )

    has_command = (
        b"No such command"
        not in subprocess.run(
            [sys.executable, "-m", "service", "conform", "--help"], capture_output=True, check=False
        ).stderr
    )
    assert ("The checks are not installed" in page.text()) != has_command
    assert bool(page.find(".verdicts tbody tr")) == has_command
