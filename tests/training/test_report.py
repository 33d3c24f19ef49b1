"""The report: everything in one file, the same again, readable by everyone."""

import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from service.artifact import REPORT, TRAINING, Artifact, read_artifact
from service.errors import CorruptArtifactError
from service.store import Store
from service.training.report.charts import PALETTE
from service.training.report.customer_map import centroids
from service.training.report.page import render_artifact
from service.transform import Transform
from tests.documents import add_version
from tests.training.report_pages import CHROMIUM, open_page

ECHARTS_SHA256 = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
"""Of dist/echarts.min.js of the npm package echarts 6.1.0."""

CHARTS = (
    "map",
    "importance",
    "box-age",
    "box-income",
    "box-purchases",
    "box-spending-power",
    "silhouette",
    "sweep",
    "migration",
)

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(name="versions", scope="module")
def _versions(tmp_path_factory: pytest.TempPathFactory, sample_path: Path) -> tuple[Artifact, Artifact]:
    """Return a version and the one that follows it, with all that training can tell."""
    root = tmp_path_factory.mktemp("report") / "models"
    first = add_version(root, sample_path, k=4)
    lineage = {
        "previous": first,
        "method": "warm-start",
        "mapping": {"0": 0, "1": 1, "2": 2},
        "kept_share": 0.93,
        "born": [],
        "retired": [3],
        "next_id": 4,
        "migration": {"0": {"0": 500, "1": 20}, "1": {"1": 300}, "2": {"2": 150}, "3": {"2": 30}},
    }
    second = add_version(root, sample_path, k=3, transform=Transform.LOG1P, lineage=lineage)
    store = Store(root)
    return read_artifact(store.resolve(first)), read_artifact(store.resolve(second))


@pytest.fixture(name="page", scope="module")
def _page(versions: tuple[Artifact, Artifact]) -> bytes:
    before, after = versions
    names = {segment.id: segment.name for segment in before.model.segments}
    return render_artifact(after, previous_names=names)


class Outline(HTMLParser):
    """Gather what assistive technology goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.headings: list[int] = []
        self.charts: dict[str, dict[str, str | None]] = {}
        self.tables_without_header = 0
        self.addresses: list[str] = []
        self.language: str | None = None
        self._has_header = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        for name in ("aria-labelledby", "aria-describedby"):
            self.references += (found.get(name) or "").split()
        if tag == "a" and (found.get("href") or "").startswith("#"):
            self.references.append(str(found["href"])[1:])
        self.addresses += [str(found[name]) for name in ("src", "href", "action", "data") if found.get(name)]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if "chart" in (found.get("class") or "").split():
            self.charts[str(found["id"])] = found
        if tag == "html":
            self.language = found.get("lang")
        if tag == "table":
            self._has_header = False
        if tag == "th" and found.get("scope") in {"col", "row"}:
            self._has_header = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.tables_without_header += not self._has_header


def outline(page: bytes) -> Outline:
    parser = Outline()
    parser.feed(page.decode())
    return parser


def chart_data(page: bytes) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page.decode(), re.DOTALL)
    assert match
    document: dict[str, Any] = json.loads(match[1])
    return document


def test_all_charts_are_there_and_the_file_is_small(page: bytes) -> None:
    assert tuple(sorted(chart_data(page))) == tuple(sorted(CHARTS))
    assert sorted(outline(page).charts) == sorted(CHARTS)
    assert len(page) < 2_000_000


def test_nothing_is_fetched(page: bytes) -> None:
    found = outline(page)

    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    assert b"default-src &#x27;none&#x27;" in page or b"default-src 'none'" in page
    assert not re.search(rb"@import|url\(http|fetch\(|XMLHttpRequest|sendBeacon|WebSocket", page)


def test_the_verdict_comes_first(page: bytes) -> None:
    text = page.decode()

    assert (
        text.index("No evidence of natural groups")
        < text.index("Who they are")
        < text.index("How many segments")
    )
    assert re.findall(r"<h2[^>]*>([^<]*)", text)[0] == "The verdict"


def test_assistive_technology_finds_its_way(page: bytes) -> None:
    found = outline(page)

    assert found.language == "en"
    assert len(found.ids) == len(set(found.ids))
    assert set(found.references) <= set(found.ids)
    assert found.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(found.headings, found.headings[1:], strict=False))
    assert found.tables_without_header == 0
    for chart in found.charts.values():
        assert chart["tabindex"] == "0"
        assert chart["aria-labelledby"]
        assert chart["aria-describedby"]


def luminance(color: str) -> float:
    """Source: WCAG 2.2, relative luminance."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", [*PALETTE, "#1a1a1a", "#4a4a4a", "#0b4f8a"])
def test_colors_can_be_read_on_white_and_on_the_ground(color: str) -> None:
    for ground in ("#ffffff", "#f5f5f2"):
        assert (luminance(ground) + 0.05) / (luminance(color) + 0.05) >= 4.5


def test_the_map_shows_every_customer_in_its_region(page: bytes, versions: tuple[Artifact, Artifact]) -> None:
    model = versions[1].model
    option = chart_data(page)["map"]
    regions, *points, centres = option["series"]

    assert option["yAxis"]["type"] == "log"
    assert sum(len(series["data"]) for series in points) == 1000
    for place, series in enumerate(points):
        for age, power, *_ in series["data"][:20]:
            assert model.partition.assign_one(age, power) == place
    for left, right, bottom, top, place in regions["data"]:
        middle = ((left + right) / 2, (bottom + top) / 2)
        nearest = model.partition.distances_one(*middle)
        assert nearest[place] <= min(nearest) * 1.2
    covered = sum((right - left) for left, right, *_ in regions["data"])
    assert covered == pytest.approx(90 * (option["xAxis"]["max"] - option["xAxis"]["min"]), rel=0.01)
    for segment, centre, (age, power) in zip(model.segments, centres["data"], centroids(model), strict=True):
        assert centre["value"][:2] == [pytest.approx(age, rel=1e-3), pytest.approx(power, rel=1e-3)]
        assert model.partition.assign_one(age, power) == segment.id


def test_the_sankey_shows_everybody_and_names_retired_segments(
    page: bytes, versions: tuple[Artifact, Artifact]
) -> None:
    series = chart_data(page)["migration"]["series"][0]

    assert sum(link["value"] for link in series["links"]) == 1000
    assert f"before: 3 {versions[0].model.segments[3].name}" in {node["name"] for node in series["data"]}
    assert "5.0%" in page.decode()


def test_the_same_version_gives_the_same_bytes(versions: tuple[Artifact, Artifact]) -> None:
    assert render_artifact(versions[0]) == render_artifact(versions[0])


def test_training_writes_the_report_into_the_artifact(artifact: Artifact) -> None:
    page = artifact.files[REPORT]

    assert sorted(outline(page).charts)
    assert artifact.model.digest in page.decode()
    assert artifact.manifest.model_version not in page.decode()


@pytest.mark.parametrize(
    "key",
    [
        "segments",
        "sweep",
        "choice",
        "structure",
        "tail",
        "associations",
        "baseline",
        "lineage",
        "explanation",
        "data",
    ],
)
def test_a_version_that_tells_less_still_gets_its_report(
    versions: tuple[Artifact, Artifact], key: str
) -> None:
    document = json.loads(versions[1].files[TRAINING])
    del document[key]
    page = render_artifact(with_training(versions[1], document))

    assert "The verdict" in page.decode()
    if key not in {"explanation", "sweep"}:
        assert page != render_artifact(versions[1])


def test_an_old_version_says_what_it_does_not_tell(versions: tuple[Artifact, Artifact]) -> None:
    page = render_artifact(with_training(versions[1], {})).decode()

    assert page.count("an earlier segserve trained it. Train again to see it here.") >= 6
    assert sorted(chart_data(page.encode())) == ["map"]


def test_names_and_reasons_are_text_and_never_markup(versions: tuple[Artifact, Artifact]) -> None:
    evil = "</script><img src=x onerror=alert(1)>{{SCRIPT}}&"
    document = json.loads(versions[1].files[TRAINING])
    for segment in document["segments"]:
        segment["name"] = evil
        segment["rule"]["text"] = evil
    document["structure"]["sentence"] = document["choice"]["reason"] = evil
    document["data"]["ignored_columns"] = [evil]
    named = tuple(replace(segment, name=evil) for segment in versions[1].model.segments)
    altered = replace(with_training(versions[1], document), model=replace(versions[1].model, segments=named))
    page = render_artifact(altered)

    assert b"<img src=x" not in page
    assert page.count(b"</script>") == render_artifact(versions[1]).count(b"</script>")
    assert chart_data(page)["map"]["series"][1]["name"] == evil


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{",
        b'{"segments": 7}',
        b'{"segments": [{"id": 0}]}',
        b'{"baseline": {"sample": {"Age": [1]}}}',
    ],
)
def test_a_training_json_that_is_not_ours_is_one_error(
    versions: tuple[Artifact, Artifact], content: bytes
) -> None:
    broken = replace(versions[1], files={**versions[1].files, TRAINING: content})

    with pytest.raises(CorruptArtifactError, match=r"training\.json"):
        render_artifact(broken)


def test_the_library_is_the_one_that_was_published() -> None:
    content = resources.files("service.training.report").joinpath("static", "echarts.min.js").read_bytes()

    assert hashlib.sha256(content).hexdigest() == ECHARTS_SHA256


@needs_chromium
@pytest.mark.parametrize("width", [1280, 500])
def test_the_browser_draws_every_chart_without_a_complaint(tmp_path: Path, page: bytes, width: int) -> None:
    script = """
      document.body.dataset.wide = String(document.documentElement.scrollWidth - window.innerWidth);
    """
    document, console = open_page(page, tmp_path, width=width, script=script)

    assert console == ""
    assert f'data-charts="{len(CHARTS)}"' in document
    assert document.count("<svg") == len(CHARTS)
    wide = re.search(r'data-wide="(-?\d+)"', document)
    assert wide
    assert int(wide[1]) <= 0, "the page scrolls sideways"


@needs_chromium
def test_arrow_keys_step_through_a_chart_and_the_step_is_spoken(
    tmp_path: Path, page: bytes, versions: tuple[Artifact, Artifact]
) -> None:
    script = """
      const heard = [];
      for (const id of ["importance", "box-age", "migration", "map", "sweep"]) {
        const chart = document.getElementById(id);
        chart.focus();
        for (const key of ["ArrowRight", "ArrowDown", "ArrowRight"]) {
          chart.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
          heard.push(document.getElementById("spoken").textContent);
        }
      }
      document.body.dataset.heard = heard.join("|");
    """
    document, console = open_page(page, tmp_path, width=1280, script=script)
    match = re.search(r'data-heard="([^"]*)"', document)
    assert match
    heard = match[1].split("|")
    first = versions[1].model.segments[0].name

    assert console == ""
    assert heard[0].startswith(f"Age, {first}: ")
    assert heard[3].startswith(f"{first}: 5 % ")
    assert heard[6].startswith("before: 0 ")
    assert "Spending_Power" in heard[9]
    assert heard[12].startswith("2, silhouette: ")
    assert all(heard)


@needs_chromium
def test_a_legend_button_hides_a_segment(tmp_path: Path, page: bytes) -> None:
    script = """
      const button = document.querySelector('[data-for="map"] button');
      const count = () => document.querySelectorAll("#map svg path").length;
      const before = count();
      button.click();
      echarts.getInstanceByDom(document.getElementById("map")).getZr().flush();
      document.body.dataset.hidden = `${button.getAttribute("aria-pressed")} ${before - count()}`;
    """
    document, _ = open_page(page, tmp_path, width=1280, script=script)
    match = re.search(r'data-hidden="false (\d+)"', document)

    assert match
    assert int(match[1]) > 100


def with_training(artifact: Artifact, document: dict[str, Any]) -> Artifact:
    return replace(artifact, files={**artifact.files, TRAINING: json.dumps(document).encode()})
