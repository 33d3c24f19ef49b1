"""Provide a real browser, servers with complete and with bare models, and ways to look at a page."""

import json
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from service.artifact import read_artifact
from service.serving.app import create_app
from service.serving.console import add_console
from service.serving.contract_check import ContractCheck
from service.settings import read_settings
from service.store import Store
from tests.browser.training_file import columns_of, complete
from tests.conftest import RunningServer, do_without, start_server, wait_until

ROOT = Path(__file__).parents[2]
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
VERDICTS = """
import json, sys
assert sys.argv[1].startswith("http://127.0.0.1:") and sys.argv[2] == "--json", sys.argv
for clause, verdict, sentence in (
    ("C13", "pass", "GET /ping answers 200"),
    ("C28", "fail", "an error body has under 2048 bytes"),
    ("C68", "skip", "multi-model endpoints load models"),
):
    print(json.dumps({"clause": clause, "verdict": verdict, "sentence": sentence,
                      "detail": "seen: " + sys.argv[1]}), flush=True)
sys.exit(1)
"""
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
"""Chromium breaks off requests to any address with it when a container's network comes or goes."""

Live = dict[str, Any]


@dataclass
class Page:
    """Drive one browser window."""

    driver: Chrome
    downloads: Path
    said: list[str] = field(default_factory=list)
    """Errors in the browser's console that nobody has asked for yet."""

    def open(self, url: str, view: str, *, heading: str | None = None) -> None:
        """Load a view afresh and wait until it is drawn; again where the network changed meanwhile."""

        def load() -> None:
            self.driver.get("about:blank")
            self.driver.get(f"{url}/#/{view}")

        def is_drawn() -> bool:
            if self._has_network_changed():
                load()
            return bool(self.find("h1")) and not self.find(".loading")

        load()
        self.wait(is_drawn, what=f"the view {view}")
        if heading:
            assert self.one("h1").text == heading

    def find(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css: str = "main") -> str:
        return self.one(css).text

    def button(self, name: str) -> WebElement:
        """Return the button of that name that is shown."""
        return next(
            element for element in self.find("button") if element.is_displayed() and element.text == name
        )

    def press(self, name: str) -> None:
        button = self.button(name)
        self.driver.execute_script(
            "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button
        )
        button.click()

    def wait(self, condition: Callable[[], Any], *, what: str, deadline_s: float = 30) -> None:
        from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException

        def holds() -> bool:
            try:
                return bool(condition())
            except (NoSuchElementException, StaleElementReferenceException):  # not there yet, or not any more
                return False

        wait_until(holds, what=what, deadline_s=deadline_s)

    def wait_for_text(self, text: str, *, css: str = "main", deadline_s: float = 30) -> None:
        self.wait(lambda: text in self.text(css), what=f"{text!r} on the page", deadline_s=deadline_s)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def resize(self, size: str) -> None:
        """Become a desktop or a phone, by what the page sees of its window."""
        width, height = SIZES[size]
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"},
        )

    def theme(self, name: str, *, is_calm: bool = True) -> None:
        """Prefer a theme, and no motion."""
        features = [
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce" if is_calm else "no-preference"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def violations(self) -> list[str]:
        """Return what axe finds wrong, seriously or worse."""
        if not AXE.is_file():
            do_without("axe-core is not installed: run npm ci --prefix console")
        self.driver.execute_script(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations));"
        )
        return [
            f"{rule['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
            for rule in found
            if rule["impact"] in {"serious", "critical"}
            for node in rule["nodes"]
        ]

    def complaints(self) -> list[str]:
        """Return the errors of the browser's console since it was last asked, the policy's among them."""
        self._has_network_changed()
        said, self.said = self.said, []
        return said

    def _has_network_changed(self) -> bool:
        """Read the browser's console; tell whether requests were broken off since it was last read."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # selenium has no types here
        errors = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
        self.said += [text for text in errors if NETWORK_CHANGED not in text]
        return any(NETWORK_CHANGED in text for text in errors)


@pytest.fixture(name="chromium", scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Start one browser for all tests of a process."""
    if CHROMIUM is None or DRIVER is None:
        do_without("Chromium or ChromeDriver is not installed: apt-get install chromium chromium-driver")
    downloads = tmp_path_factory.mktemp("downloads")
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
        ),
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(60)
    yield Page(driver, downloads)
    driver.quit()


@pytest.fixture(name="page")
def _page(chromium: Page) -> Iterator[Page]:
    """Return the browser as a light desktop; afterwards, no error may stand in its console."""
    chromium.resize("desktop")
    chromium.theme("light")
    chromium.complaints()
    yield chromium
    assert not [text for text in chromium.complaints() if "/live" not in text and "400" not in text]


@pytest.fixture(name="two_versions", scope="session")
def _two_versions(tmp_path_factory: pytest.TempPathFactory, sample_path: Path) -> Path:
    """Return a store with two versions that keep all that training.json may hold."""
    from service.training.dataset import read_dataset
    from service.training.hyperparameters import Hyperparameters
    from service.training.trainer import train

    root = tmp_path_factory.mktemp("versions")
    dataset = read_dataset([sample_path], mapping={}, rejects_path=root / "rejects.csv")
    for k in (3, 4):
        trained = train(dataset, Hyperparameters(k=k), on_progress=lambda *_: None)
        files = complete(trained.files, model=trained.model, columns=columns_of(dataset))
        Store(root).add(files, provenance=trained.provenance)
    return root


@pytest.fixture(name="site", scope="session")
def _site(tmp_path_factory: pytest.TempPathFactory, two_versions: Path) -> Iterator[RunningServer]:
    """Run the real server with a complete model."""
    server = start_server(tmp_path_factory.mktemp("site"), "--store", str(two_versions))
    yield server
    assert server.stop() == 0


@dataclass
class Staged:
    """Hold a server whose live figures and contract checks a test decides on."""

    url: str
    live: Live | None = None


@pytest.fixture(name="staged", scope="session")
def _staged(two_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    """Run the real application, with /live and the checks' command played."""
    script = tmp_path_factory.mktemp("conform") / "conform.py"
    script.write_text(VERDICTS)
    settings = read_settings(store=str(two_versions))
    artifact = read_artifact(Store(two_versions).resolve())
    app, checks = create_app(artifact, settings), FastAPI()
    check = ContractCheck((sys.executable, str(script)))
    add_console(checks, artifact=artifact, settings=settings, check=check)
    staged = Staged("")

    async def stage(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/live":
            body = json.dumps(staged.live).encode()
            headers = [(b"content-type", b"application/json")]
            status = 404 if staged.live is None else 200
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        elif scope["path"] == "/console/conformance":
            await checks(scope, receive, send)
        else:
            await app(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(stage, lifespan="off", log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started, what="the staged server")
    staged.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield staged
    server.should_exit = True
    thread.join(30)
