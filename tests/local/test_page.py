"""What docs/local.md shows is what happens, and docker/README.md names what the image accepts."""

import re
from pathlib import Path

import pytest

from service.errors import ConfigurationError
from service.training.hyperparameters import read_hyperparameters
from tests.conftest import wait_until
from tests.local.conftest import run_steps

PAGE = Path(__file__).parents[2] / "docs" / "local.md"
IMAGE_PAGE = PAGE.parents[1] / "docker" / "README.md"
URL = re.compile(r"http://127\.0\.0\.1:\d+")
LABELS = re.compile(r"\[\d, \d\]")


def normalized(output: str) -> str:
    """Leave out what may differ: the port, here a free one, and which number a segment has."""
    return LABELS.sub("LABELS", URL.sub("URL", output.strip()))


def test_the_example_runs_as_shown(tmp_path: Path) -> None:
    page = PAGE.read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "deploy.py").write_text(program)

    shown, came = run_steps(page, tmp_path, replace={})

    assert len(shown) == 5
    assert [normalized(output) for output in came] == [normalized(output) for output in shown]
    wait_until(lambda: not list(tmp_path.glob(".segserve/local/runs/*")), what="an empty house")


def test_the_page_of_the_image_names_every_hyperparameter(tmp_path: Path) -> None:
    (tmp_path / "hyperparameters.json").write_text('{"no such": 1}')
    with pytest.raises(ConfigurationError) as refused:
        read_hyperparameters(tmp_path / "hyperparameters.json")
    accepted = set(str(refused.value).rpartition("there are ")[2].split(", "))
    table = IMAGE_PAGE.read_text().partition("| hyperparameter | like |\n")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert {"k", "channel"} <= accepted
    assert named == accepted
