"""The page says what the raw results hold, and the one in docs is never older than they."""

import xml.etree.ElementTree as ET
from pathlib import Path

from bench.peers.page import DOCS_DIR, PAGE, PUBLISHED, render
from bench.peers.results import load_results
from bench.peers.workloads import BULK, ONE
from tests.bench.runs import make_run


def test_results_survive_the_file(tmp_path: Path) -> None:
    results = make_run()
    path = tmp_path / "run.json"
    results.save(path)

    assert load_results(path) == results
    assert render(load_results(path)) == render(results)


def test_the_page_has_targets_loads_starts_and_versions() -> None:
    page = render(make_run())[PAGE.name]

    assert "2026-11-23, Linux, 2 cores, CPython 3.11.7" in page
    assert "5 rounds" in page
    target = (
        "| 1 record: CPU of the cheapest peer to ours | 70 x (70 x to 70 x), slow | ≥ 60 x |  | reached |"
    )
    assert target in page
    row = "| the slow server | 1,429 | 1,429 | 0.5 | 1.00 | 2.00 | 700 (700 to 700) | 700 | 70.0 x |"
    assert row in page
    assert "| the fastapi-hello server | 0.5 (0.5 to 0.5) | 20.0 (20.0 to 20.0) |" in page
    assert "thing 1.0" in page
    assert "12 bodies of 25 MB" in page


def test_few_requests_have_no_high_percentiles() -> None:
    page = render(make_run(factor=100.0))[PAGE.name]
    (_, bulk) = page.split(f"### {BULK.name}\n")
    row = next(
        line for line in bulk.splitlines() if line.startswith("| segserve |") or "the segserve" in line
    )

    assert "| 0.5 | - | - |" in row


def test_what_was_not_measured_is_told_with_the_reason() -> None:
    results = make_run()
    results.skipped["slowest"] = "its environment cannot be built:\n no wheel"

    assert "- slowest: its environment cannot be built: no wheel" in render(results)[PAGE.name]


def test_a_plot_has_a_bar_a_server_longer_for_more() -> None:
    plot = ET.fromstring(render(make_run())["peers-load-1.svg"])
    space = "{http://www.w3.org/2000/svg}"
    labels = [text.text for text in plot.iter(f"{space}text") if (text.text or "").startswith("the ")]
    (_, *rectangles) = plot.iter(f"{space}rect")
    widths = [float(one.attrib["width"]) for one in rectangles]

    assert labels == [
        f"the {name} server" for name in ("nginx", "copy", "segserve", "hello", "slow", "slower")
    ]
    assert widths == sorted(widths)
    assert len(set(widths)) == len(widths)
    assert ONE.name in (plot.attrib["aria-label"])


def test_the_page_in_docs_is_that_of_the_published_results() -> None:
    if not PUBLISHED.exists():
        assert not PAGE.exists()
        return
    for name, content in render(load_results(PUBLISHED)).items():
        assert (DOCS_DIR / name).read_text() == content, f"{name}: run make docs"
