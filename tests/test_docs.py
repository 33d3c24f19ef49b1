"""What the documents say is true: commands run as shown, answers are those shown, tables are complete."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.render import COMMANDS, PAGES
from service.cli import app
from tests.conftest import clean_environment, wait_until

ROOT = Path(__file__).parents[1]
PAGES_WITH_COMMANDS = (
    "README.md",
    "docs/http.md",
    "docs/metrics.md",
    "docs/bench.md",
    "docs/runtime.md",
    "docs/segments.md",
    "docs/report.md",
    "docs/conform.md",
)
VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")

SETUP_COMMANDS = ("make serve",)
"""Run by .ci/run and by people; here a demo server is started in their stead."""


def console_blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a page with the output shown under it."""
    for block in re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


@pytest.fixture(name="shell", scope="module")
def _shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Start what `make serve` starts, in an empty folder; return the folder and the port."""
    folder = tmp_path_factory.mktemp("readme")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "demo", "--port", "0"],
            cwd=folder,
            env=clean_environment(SERVICE_PREFIX=str(folder / "ml")),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    wait_until(lambda: "Ready on" in log.read_text() or process.poll() is not None, what="the demo")
    (folder / "campaign.csv").write_text(
        "Year_Birth,Income,Web,Catalog,Store\n1980,50000,3,2,1\n1990,70000,0,1,1\n1955,40000,1,0,4\n"
    )
    yield folder, log.read_text().split("Ready on http://localhost:")[1].split()[0]
    process.terminate()
    process.wait(30)


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS)
def test_commands_run_as_the_page_shows(shell: tuple[Path, str], page: str) -> None:
    folder, port = shell
    commands = [pair for pair in console_blocks(page) if pair[0] not in SETUP_COMMANDS]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    assert commands
    for command, expected in commands:
        result = subprocess.run(
            ["bash", "-c", command.replace("localhost:8080", f"localhost:{port}").replace("curl", "curl -s")],
            cwd=folder,
            env=clean_environment(PATH=path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stderr}"
        if expected:
            assert normalized(result.stdout) == normalized(expected), command


def test_code_for_the_cloud_is_that_for_the_laptop_but_for_one_line(shell: tuple[Path, str]) -> None:
    folder, port = shell
    text = (ROOT / "docs" / "runtime.md").read_text()
    laptop, cloud = re.findall(r"```python\n(import.*?)```", text, re.DOTALL)
    pairs = zip(laptop.splitlines(), cloud.splitlines(), strict=True)
    result = subprocess.run(
        [sys.executable, "-c", laptop.replace("localhost:8080", f"localhost:{port}")],
        cwd=folder,
        env=clean_environment(AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert [(here, there) for here, there in pairs if here != there] == [
        ('URL = "http://localhost:8080"', "URL = None")
    ]
    assert result.stdout == "b'[2, 1]'\n", result.stderr


def normalized(output: str) -> str:
    """Leave out what differs from run to run: version ids."""
    return VERSION.sub("VERSION", output.rstrip("\n"))


def test_the_readme_reaches_an_answer_within_30_lines() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()

    assert lines.index("[2, 1]") < 30


def test_make_targets_that_documents_name_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        named = set(
            re.findall(r"\bmake ([a-z-]+)", " ".join(re.findall(r"`[^`]+`|^\$ .*", page.read_text())))
        )

        assert named <= targets, page.name


@pytest.mark.parametrize("name", PAGES)
def test_pages_that_follow_from_the_code_are_fresh(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run make docs"


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    found: set[tuple[str | None, ...]] = {(command.name,) for command in app.registered_commands}
    found |= {(name,) for name in groups}
    for name, group in groups.items():
        assert group is not None
        found |= {(name, command.name) for command in group.registered_commands}

    assert {command for command in COMMANDS if command} == found


def test_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in LINK.findall(page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_routes_and_statuses_of_the_page_are_those_of_the_code() -> None:
    from service.serving.invocation import STATUSES
    from service.serving.openapi import CONTRACT_PATHS, RUNTIME_PATHS
    from service.serving.openapi_models import MODELS_PATHS

    page = (ROOT / "docs" / "http.md").read_text()
    for error, status in STATUSES.items():
        assert re.search(rf"\| {status} \| .*`{error.code}`", page), error
    for path in (*CONTRACT_PATHS, *RUNTIME_PATHS, *MODELS_PATHS):
        assert f"{path}`" in page
