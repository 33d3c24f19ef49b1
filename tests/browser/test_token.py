"""A server with a token: the page asks for it, keeps it for the tab, and sends it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Page
from tests.conftest import RunningServer, start_server, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

TOKEN = "open-sesame-0123456789"


@pytest.fixture(name="guarded", scope="module")
def _guarded(tmp_path_factory: pytest.TempPathFactory, two_versions: Path) -> Iterator[RunningServer]:
    server = start_server(
        tmp_path_factory.mktemp("guarded"), "--store", str(two_versions), SERVICE_TOKEN=TOKEN
    )
    yield server
    assert server.stop() == 0


def enter(page: Page, token: str) -> None:
    field = page.one("input[type=password]")
    field.clear()
    field.send_keys(token)
    page.press("Open the console")


def test_the_page_asks_for_the_token_and_keeps_it_for_the_tab(page: Page, guarded: RunningServer) -> None:
    page.driver.get(f"{guarded.url}/#/segments")
    page.wait(lambda: page.find("input[type=password]"), what="the question")
    assert "SERVICE_TOKEN" in page.text()
    assert not page.violations()

    enter(page, "something-else-0123")
    page.wait_for_text("That is not the token")
    enter(page, TOKEN)
    page.wait(lambda: page.find(".serving code"), what="the model")
    assert not page.find("input[type=password]")

    assert page.run("return JSON.stringify(sessionStorage)") == json.dumps(
        {"segserve-token": TOKEN}, separators=(",", ":")
    )
    assert page.run("return localStorage.length + document.cookie.length") == 0
    assert TOKEN not in page.run("return location.href")
    # The page fixture holds every complaint against the test; these were asked for.
    assert all("401" in text for text in page.complaints())

    for view in ("try", "versions", "live"):
        page.run(f"location.hash = '#/{view}'")
        page.wait(lambda: not page.find(".loading") and page.find("h1"), what=view)
        assert "token" not in page.text().lower()
    page.press("Model card as JSON")
    path = page.downloads / "model.json"
    wait_until(path.exists, what="the download")
    wait_until(lambda: path.read_text().endswith("}"), what="all of it")
    assert json.loads(path.read_text())["segments"]

    page.press("Forget the token")
    page.wait(lambda: page.find("input[type=password]"), what="the question")
    assert page.run("return sessionStorage.length") == 0
    page.wait(lambda: any("401" in text for text in page.complaints()), what="the browser's own note of it")


def test_a_page_without_a_token_is_as_before(page: Page, site: RunningServer) -> None:
    page.open(site.url, "segments")

    assert not page.find("input[type=password]")
    links = [link.get_attribute("href") for link in page.find(".foot a")]
    assert links == [f"{site.url}/{name}" for name in ("docs", "model", "openapi.json")]
