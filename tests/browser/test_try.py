"""One record, moved or typed, and the code for its call."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Page
from tests.browser.steps import type_into
from tests.conftest import RunningServer, start_server

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

DETAIL = {"accept": "application/json; detail=full"}


def test_typing_a_customer_asks_the_server(page: Page, site: RunningServer) -> None:
    page.open(site.url, "try")
    type_into(page, "Age", "61")
    type_into(page, "Income", "100000")
    type_into(page, "Purchases", "0")
    customer = {"Age": 61, "Income": 100000, "Purchases": 0}
    answer = httpx.post(f"{site.url}/invocations", json=customer, headers=DETAIL).json()["predictions"][0]

    page.wait_for_text(f"segment {answer['closest_cluster']:.0f}, with", css=".result")
    page.wait_for_text(answer["segment"], css=".named")
    assert page.text("[data-testid=confidence]") == f"{answer['confidence'] * 100:.0f} %"
    distances = [float(element.text) for element in page.find("[data-testid=distance]")]
    assert distances == sorted(distances)
    assert len(distances) == 4
    assert distances[0] == pytest.approx(answer["distance_to_cluster"], abs=5e-4)
    assert distances[1] == pytest.approx(answer["second"]["distance_to_cluster"], abs=5e-4)
    assert "Counted as one" in page.text(".flags")


def test_the_point_moves_by_key_and_by_pointer(page: Page, site: RunningServer) -> None:
    page.open(site.url, "try")
    page.wait(lambda: page.find(".handle"), what="the point")
    handle = page.one(".handle")
    before = handle.get_attribute("aria-label")
    first = page.text(".named")
    handle.send_keys(Keys.ARROW_RIGHT)
    page.wait(
        lambda: page.one(".handle").get_attribute("aria-label") != before, what="the point to move by key"
    )

    page.run("document.querySelector('.plane').scrollIntoView({block: 'center', behavior: 'instant'})")
    ActionChains(page.driver).click_and_hold(page.one(".handle")).move_by_offset(150, 20).release().perform()
    page.wait(lambda: page.text(".named") != first, what="another segment")
    age = float(page.one(".field input").get_attribute("value") or "nan")
    assert age > 40
    code = page.text(".code code")
    assert f'"Age":{age:g}' in code


def test_a_value_that_cannot_be_is_explained_at_its_field(page: Page, site: RunningServer) -> None:
    page.open(site.url, "try")
    type_into(page, "Age", "old")
    page.wait_for_text("Age is not a number", css="#record-error")
    assert page.one(".field input").get_attribute("aria-invalid") == "true"

    type_into(page, "Age", "-1")
    page.wait_for_text("must be", css="#record-error")  # the server's sentence
    assert "-1" not in page.text("#record-error")
    assert page.one(".field input").get_attribute("aria-describedby") == "record-error"


@pytest.mark.parametrize("form", ["Income and Purchases", "Spending Power"])
def test_the_code_that_is_shown_runs_and_gives_what_is_shown(
    page: Page, site: RunningServer, form: str
) -> None:
    page.open(site.url, "try")
    page.press(form)
    page.wait(lambda: page.find(".named"), what="an answer")
    confidence = page.text("[data-testid=confidence]")

    curl = subprocess.run(
        ["bash", "-c", page.text(".code code").replace("curl", "curl -s")], capture_output=True, check=True
    )
    page.press("Python")
    python = subprocess.run([sys.executable, "-c", page.text(".code code")], capture_output=True, check=True)

    assert curl.stdout.strip() == python.stdout.strip()
    assert f"{json.loads(curl.stdout)['predictions'][0]['confidence'] * 100:.0f} %" == confidence


def test_code_for_aws_is_valid_and_can_be_copied(page: Page, site: RunningServer) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": site.url},
    )
    page.open(site.url, "try")
    page.wait(lambda: page.find(".named"), what="an answer")
    page.press("AWS")
    assert "--aws-sigv4" in page.text(".code code")
    for client in ("boto3", "Python"):
        page.press(client)
        compile(page.text(".code code"), client, "exec")
        assert 'b\'{"Age":35,"Income":60000,"Purchases":20}\'' in page.text(".code code")

    page.press("Copy")
    page.wait_for_text("Copied", css=".code-foot")
    assert page.run("return navigator.clipboard.readText()") == page.one(".code code").get_property(
        "textContent"
    )


def test_a_server_that_has_gone_is_reported(page: Page, two_versions: Path, tmp_path: Path) -> None:

    server = start_server(tmp_path, "--store", str(two_versions))
    page.open(server.url, "try")
    page.wait(lambda: page.find(".named"), what="an answer")
    server.stop()
    type_into(page, "Age", "50")
    page.wait_for_text("the server cannot be reached", css="#record-error")
    page.complaints()
