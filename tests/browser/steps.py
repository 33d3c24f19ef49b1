"""Do what several tests do on the page."""

from pathlib import Path

from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Page


def type_into(page: Page, name: str, text: str) -> None:
    field = next(label for label in page.find(".field") if label.text.startswith(name))
    control = field.find_element("css selector", "input")
    control.send_keys(Keys.CONTROL, "a")
    control.send_keys(text)


def upload(page: Page, path: Path) -> None:
    page.one("input[type=file]").send_keys(str(path))


def downloaded(page: Page, name: str, *, press: str) -> bytes:
    target = page.downloads / name
    target.unlink(missing_ok=True)
    page.press(press)
    page.wait(target.is_file, what=name)
    return target.read_bytes()


def score(page: Page, path: Path, n: int) -> None:
    upload(page, path)
    name = f"Score {n:,} record{'s' if n > 1 else ''}"
    page.wait(lambda: [b for b in page.find("button") if b.text == name and b.is_enabled()], what=name)
    page.press(name)
    page.wait(lambda: page.find(".scored tbody tr"), what="the scored table", deadline_s=120)
