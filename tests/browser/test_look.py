"""Every view at every width and in both themes: no serious barrier, nothing cut off; pictures on request."""

import os
from pathlib import Path

import pytest

from tests.browser.conftest import Page, Staged
from tests.browser.training_file import write_customers

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

VIEWS = ("segments", "try", "score", "versions", "live", "conformance")
LIVE = {
    "requests": 18_402,
    "errors": 37,
    "latency_ms": {"p50": 0.41, "p90": 1.2, "p99": 8.7},
    "records_by_segment": {"0": 4100, "1": 9000, "2": 5100, "3": 800},
    "minutes": [
        {
            "minute": 29_380_000 + n,
            "requests": 900 + n * 13 % 400,
            "errors": n % 5,
            "p50_ms": 0.4 + n % 3 / 10,
            "p99_ms": 4 + n * 7 % 5,
            "records": 1200 + n,
        }
        for n in range(15)
    ],
    "drift": {"Age": 0.034, "Income": 0.17, "Purchases": 0.41, "Spending_Power": 0.08},
}


def prepare(page: Page, view: str, folder: Path) -> None:
    """Bring a view to where it shows most."""
    if view == "score":
        page.one("input[type=file]").send_keys(str(write_customers(folder / "customers.csv", 500)))
        page.wait(lambda: [b for b in page.find("button") if b.text.startswith("Score ")], what="the report")
        page.press("Score 500 records")
        page.wait(lambda: page.find(".scored tbody tr"), what="the scored table")
    elif view == "conformance":
        page.press("Run the checks")
        page.wait_for_text("1 of 3 clauses do not hold")
    elif view == "try":
        page.wait(lambda: page.find("[data-testid=confidence]"), what="an answer")
    elif view == "versions":
        page.wait(lambda: page.find(".matrix") and page.find(".drift"), what="the comparison")
    elif view == "live":
        page.wait(lambda: page.find(".chart"), what="the charts")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_no_barriers_and_fits(
    page: Page, staged: Staged, tmp_path: Path, view: str, size: str, theme: str
) -> None:
    staged.live = LIVE
    page.resize(size)
    page.theme(theme)
    page.open(staged.url, view)
    prepare(page, view, tmp_path)

    violations = page.violations()
    overflow = page.run("return document.documentElement.scrollWidth - innerWidth")
    _picture(page, f"{view}-{size}-{theme}")
    assert violations == []
    assert overflow <= 0


def _picture(page: Page, name: str) -> None:
    """Save the whole page where SEGSERVE_SCREENSHOTS says, for people to look at."""
    folder = os.environ.get("SEGSERVE_SCREENSHOTS")
    if folder:
        import base64

        shot = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        Path(folder, f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
