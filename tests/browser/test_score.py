"""A file of customers, from the drop to the download."""

import csv
import time
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.support.select import Select

from service.artifact import read_artifact
from service.store import Store
from tests.browser.conftest import Page
from tests.browser.steps import downloaded, score, upload
from tests.browser.training_file import write_customers
from tests.conftest import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

AWKWARD = (
    "\ufeffCustomer ID; AGE ;Remark;Income;purchases\r\n"
    '1;25;"a; ""b""\r\nc";"$30,000.00 ";24\r\n'
    "2;45;plain;60010;20\r\n"
    "3;;no age;60010;20\r\n"
    "4;0;age 0;60010;20\r\n"
    ";;;;\r\n"
    "5;61;no income;;3\r\n"
    "6;33;no purchase;84 835;0\r\n"
    "7;50;comma;84.835,50;3\r\n"
    "8;50;words;much;3\r\n"
    "9;50;negative;-5;3\r\n"
    "10;70.5;exact;1e5;7\r\n"
)


def test_an_awkward_file_is_scored_as_the_command_line_scores_it(
    page: Page, site: RunningServer, two_versions: Path, tmp_path: Path
) -> None:
    from service.training.score import score_file

    source, target = tmp_path / "awkward.csv", tmp_path / "scored.csv"
    source.write_text(AWKWARD, newline="")
    artifact = read_artifact(Store(two_versions).resolve())
    score_file(
        source,
        target,
        model=artifact.model,
        version=artifact.manifest.model_version,
        mapping={},
        decimal=".",
        prefix="",
        on_progress=lambda *_: None,
    )
    page.open(site.url, "score")
    score(page, source, 5)
    scored = downloaded(page, "awkward-scored.csv", press="Download the scored file")

    with target.open(newline="") as expected:
        reader = csv.reader(expected, delimiter=";")
        rows = [[field.replace("for such files: --decimal ,", "DECIMAL") for field in row] for row in reader]
    text = scored.decode().replace("choose that for such files", "DECIMAL")
    assert list(csv.reader(text.splitlines(keepends=True), delimiter=";")) == rows


def test_rejects_say_line_column_and_reason(page: Page, site: RunningServer, tmp_path: Path) -> None:
    source = tmp_path / "awkward.csv"
    source.write_text(f"{AWKWARD}11;50\r\n", newline="")
    page.open(site.url, "score")
    upload(page, source)
    page.wait_for_text("6 rejects")
    rows = [row.text for row in page.find("details tbody tr")]

    assert rows[0].startswith("5 AGE Age is missing")
    assert rows[1].startswith("6 AGE Age must be greater than 0")
    assert rows[-1].startswith("14 none has 2 fields, the header has 5")
    rejects = downloaded(page, "rejects.csv", press="Download the rejects").decode()
    assert len(list(csv.reader(rejects.splitlines(), delimiter=";"))) == 7


def test_columns_by_other_names_can_be_chosen(page: Page, site: RunningServer, tmp_path: Path) -> None:
    source = tmp_path / "named.csv"
    source.write_text("years,salary,orders\n25,30000,24\n45,60010,20\n")
    page.open(site.url, "score")
    upload(page, source)
    page.wait_for_text("No column Age, Income, Purchases")
    for place, column in enumerate(("years", "salary", "orders")):
        page.wait(lambda: all(choice.is_enabled() for choice in page.find(".fields select")), what="choices")
        Select(page.find(".fields select")[place]).select_by_visible_text(column)
    page.wait_for_text("Score 2 records")
    page.press("Score 2 records")
    page.wait(lambda: len(page.find(".scored tbody tr")) == 2, what="the table")


def test_a_hundred_thousand_records_do_not_freeze_the_page(
    page: Page, site: RunningServer, tmp_path: Path
) -> None:
    source = write_customers(tmp_path / "many.csv", 100_000)
    page.open(site.url, "score")
    page.run(
        """
        window.longest = 0; let last = performance.now();
        setInterval(() => {
          const now = performance.now();
          window.longest = Math.max(window.longest, now - last);
          last = now;
        }, 20);
        """
    )
    started = time.monotonic()
    score(page, source, 100_000)
    took_s = time.monotonic() - started

    longest_ms = page.run("return window.longest")
    assert longest_ms < 1000, f"the page stood still for {longest_ms:.0f} ms of {took_s:.1f} s"
    assert "100,000 records scored" in page.text()
    scored = downloaded(page, "many-scored.csv", press="Download the scored file")
    lines = scored.decode().splitlines()
    assert len(lines) == 100_001
    expected = httpx.post(
        f"{site.url}/invocations",
        content=b"\n".join(source.read_bytes().splitlines()),
        timeout=60,
        headers={"content-type": "text/csv", "accept": "text/csv"},
    )
    assert [line.split(",")[5] for line in lines[1:]] == expected.text.split()


def test_a_file_can_be_dropped(page: Page, site: RunningServer) -> None:
    page.open(site.url, "score")
    page.run(
        """
        const transfer = new DataTransfer();
        transfer.items.add(new File(["Age;Income;Purchases\\n25;30000;24\\n"], "dropped.csv"));
        const drop = new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
        window.isPrevented = !document.querySelector(".drop").dispatchEvent(drop);
        """
    )
    page.wait_for_text("What is in dropped.csv")

    assert page.run("return window.isPrevented")
    assert "separated by semicolon" in page.text()
    page.wait_for_text("Score 1 record")


def test_scoring_can_be_stopped_and_started_again(page: Page, site: RunningServer, tmp_path: Path) -> None:
    page.open(site.url, "score")
    upload(page, write_customers(tmp_path / "long.csv", 60_000))
    page.wait_for_text("Score 60,000 records", deadline_s=60)
    page.press("Score 60,000 records")
    page.press("Stop")
    page.wait_for_text("Score 60,000 records")

    assert not page.find(".scored")
    assert not page.find(".notice.bad")
    page.press("Score 60,000 records")
    page.wait_for_text("60,000 records scored", deadline_s=120)


def test_the_table_has_pages_and_shows_one_segment(page: Page, site: RunningServer, tmp_path: Path) -> None:
    page.open(site.url, "score")
    score(page, write_customers(tmp_path / "c.csv", 120), 120)
    assert "1 to 50 of 120" in page.text()
    page.press("Next")
    page.press("Next")
    page.wait_for_text("101 to 120 of 120")
    assert page.find(".scored tbody tr")[0].text
    assert not page.button("Next").is_enabled()
    Select(page.one(".pager select")).select_by_index(1)
    name = page.one(".pager select option:nth-child(2)").text
    page.wait(
        lambda: (
            {row.find_element("css selector", "th").text for row in page.find(".scored tbody tr")} == {name}
        ),
        what=name,
    )


def test_a_file_that_was_scored_before_keeps_its_columns(
    page: Page, site: RunningServer, tmp_path: Path
) -> None:
    source = tmp_path / "again.csv"
    source.write_text("Age,Income,Purchases,segment,Note\n25,30000,24,7,mine\n")
    page.open(site.url, "score")
    score(page, source, 1)
    scored = downloaded(page, "again-scored.csv", press="Download the scored file").decode().splitlines()

    assert scored[0].startswith("Age,Income,Purchases,segment,Note,new_segment,new_segment_name,")
    assert scored[1].startswith("25,30000,24,7,mine,")


def test_a_file_over_the_cap_is_refused_before_it_is_sent(
    page: Page, site: RunningServer, tmp_path: Path
) -> None:
    source = tmp_path / "large.csv"
    with source.open("wb") as file:
        file.truncate(50 * 2**20 + 1)
    page.open(site.url, "score")
    assert "Up to 50 MB" in page.text("#drop-help")
    upload(page, source)
    page.wait_for_text("Nothing was sent")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"Age,Income,Purchases\n", "has a header but no records"),
        (b"PK\x03\x04\x00\x00", "Excel workbook"),
    ],
)
def test_a_file_that_is_none_is_refused(
    page: Page, site: RunningServer, tmp_path: Path, content: bytes, sentence: str
) -> None:
    source = tmp_path / "odd.csv"
    source.write_bytes(content)
    page.open(site.url, "score")
    upload(page, source)

    page.wait_for_text(sentence)
