"""What holds for every view: keyboard, motion, policy, no third party."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Page
from tests.conftest import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_everything_is_reached_by_keyboard(page: Page, site: RunningServer) -> None:
    page.open(site.url, "segments")
    body = page.one("body")
    body.send_keys(Keys.TAB)
    assert page.run("return document.activeElement.textContent") == "Skip to the content"
    assert page.run("return document.activeElement.getBoundingClientRect().top") >= 0
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.run("return document.activeElement.tagName") == "H1"
    page.run("document.querySelector('nav a[href=\"#/try\"]').focus()")
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait(lambda: page.one("h1").text == "Try it", what="the view")
    assert page.run("return document.activeElement.textContent") == "Try it"
    assert page.one("nav [aria-current=page]").text == "Try it"
    assert page.driver.title == "Try it · segserve"

    names = []
    for _ in range(8):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        names.append(page.run("const e = document.activeElement; return e.className || e.tagName"))
        outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", names
    assert any("handle" in name for name in names)


def test_motion_stops_for_who_asks(page: Page, site: RunningServer) -> None:
    speed = "return getComputedStyle(document.documentElement).getPropertyValue('--speed').trim()"
    page.open(site.url, "segments")
    page.theme("light", is_calm=True)
    assert page.run(speed) == "0ms"
    page.theme("light", is_calm=False)
    assert page.run(speed) == "160ms"


def test_no_other_server_is_asked_for_anything(page: Page, site: RunningServer) -> None:
    for view in ("segments", "try", "score", "versions", "live", "conformance"):
        page.open(site.url, view)
        asked = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert asked
        assert [url for url in asked if not url.startswith(site.url)] == []


def test_the_policy_stops_inline_script(page: Page, site: RunningServer) -> None:
    page.open(site.url, "segments")
    page.run(
        "const script = document.createElement('script');"
        "script.textContent = 'window.ran = true'; document.body.append(script)"
    )

    assert page.run("return window.ran === undefined")
    assert any("Content Security Policy" in text for text in page.complaints())
