"""The segments as people see them: cards, map, and what is missing."""

import httpx
import pytest

from tests.browser.conftest import Page
from tests.conftest import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_segments_shows_each_persona_and_what_training_found(page: Page, site: RunningServer) -> None:
    card = httpx.get(f"{site.url}/model").json()
    page.open(site.url, "segments", heading="Segments")

    cards = page.find(".card")
    assert len(cards) == 4
    for element, segment in zip(cards, card["segments"], strict=True):
        assert segment["name"] in element.text
        assert f"{segment['size']:,} customers" in element.text
        assert f"{segment['share']:.1%}".replace("%", " %") in element.text
    assert card["training"]["structure"]["sentence"] in page.text()
    assert card["training"]["choice"]["reason"] in page.text()
    assert "Gender hardly differs" in page.text()


def test_the_map_draws_the_sample_in_the_colours_of_the_segments(page: Page, site: RunningServer) -> None:
    page.open(site.url, "segments")
    page.wait(lambda: page.run("return document.querySelector('canvas').width > 300"), what="the map")

    seen = page.run(
        """
        const canvas = document.querySelector("canvas");
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const colours = new Set();
        for (let place = 0; place < data.length; place += 4) colours.add(data.slice(place, place + 3).join());
        const wanted = [0, 1, 2, 3].map((id) => {
          const hex = getComputedStyle(document.documentElement).getPropertyValue(`--segment-${id}`).trim();
          return [1, 3, 5].map((from) => parseInt(hex.slice(from, from + 2), 16)).join();
        });
        return wanted.map((colour) => colours.has(colour));
        """
    )
    assert seen == [True] * 4


def test_a_model_of_before_shows_what_it_has_and_says_what_is_missing(
    page: Page, server: RunningServer
) -> None:
    page.open(server.url, "segments")

    if "sample" not in httpx.get(f"{server.url}/console/model").json()["training"].get("baseline", {}):
        assert "keeps no sample of its training records" in page.text()
    assert len(page.find(".card")) == 4
    page.open(server.url, "versions")
    page.wait_for_text("There is only one version so far")


def test_the_numbers_of_segments_that_were_tried_can_be_looked_up(page: Page, site: RunningServer) -> None:
    page.open(site.url, "segments")
    page.run("document.querySelector('main > details > summary').click()")

    rows = [row.text for row in page.find("main > details tbody tr")]
    assert rows[0] == "2 0.600 0.900 10.0 %"
    assert rows[2] == "4 chosen 0.500 0.850 5.0 %"
    assert len(rows) == 9
