"""`segserve conform`: the kit on the command line."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from service.conformance.clauses import CLAUSES
from tests.conftest import RunningServer, clean_environment


def conform(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "conform", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_our_own_server_breaks_no_must(server: RunningServer, tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    done = conform(server.url, "--report", "html", "-o", str(page))

    assert done.returncode == 0, done.stdout
    assert "C13  pass MUST     GET /ping answers 200." in done.stdout
    assert "No clause that says MUST is broken" in done.stderr
    assert page.read_text().startswith("<!doctype html>")


def test_a_report_on_stdout_is_all_that_is_there(server: RunningServer) -> None:
    as_json = conform(server.url, "--only", "C13,C43", "--json")
    as_junit = conform(server.url, "--only", "C13", "--only", "C43", "--report", "junit")

    assert json.loads(as_json.stdout)["counts"] == {"pass": 2, "fail": 0, "warn": 0, "skip": 0}
    assert len(ET.fromstring(as_junit.stdout).findall("testsuite/testcase")) == 2
    assert "C13" in as_json.stderr


def test_a_broken_must_ends_with_1_and_says_how_to_mend_it(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "input.xml"
    path.write_text("<a/>")

    done = conform(server.url, "--only", "C21", "--request", f"{path}:application/xml")

    assert done.returncode == 1
    assert "C21  fail MUST" in done.stdout
    for line in ("the request of application/xml is answered with 415", "sent: POST /invocations", "mend: "):
        assert line in done.stdout
    assert "Traceback" not in done.stderr


def test_nothing_judged_ends_with_1(server: RunningServer) -> None:
    done = conform(server.url, "--only", "C1")

    assert done.returncode == 1
    assert "proves nothing" in done.stderr
    assert "C1 was not checked: it needs an image" in done.stderr


def test_every_clause_is_listed_with_what_it_needs() -> None:
    lines = conform("--list").stdout.splitlines()

    assert [line.split()[0] for line in lines] == list(CLAUSES)
    assert "(needs an image)" in lines[0]
    assert [clause["clause"] for clause in json.loads(conform("--list", "--json").stdout)] == list(CLAUSES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs the URL of a running server, or --image IMAGE"),
        (("http://localhost:1", "--image", "a"), "not both"),
        (("ftp://localhost",), "http://host:port"),
        (("http://localhost:1", "--only", "C999"), "C999"),
        (("http://localhost:1", "--request", "none.json:application/json"), "none.json cannot be read"),
        (("http://localhost:1", "--model-dir", "."), "need --image"),
        (("http://localhost:1", "-o", "a.html"), "--output needs --report"),
        (("http://localhost:1", "--json", "--report", "html"), "exclude each other"),
        (("--image", "a", "--model-dir", "none"), "none is not there"),
        (("--image", "a", "--model-dir", ".", "--model-tar", "pyproject.toml"), "exclude each other"),
        (("--image", "a", "--hyperparameter", "k"), "NAME=VALUE"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    done = conform(*arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_docker_an_image_cannot_be_checked() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "conform", "--image", "a"],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "there is no docker command" in done.stderr
    assert "Traceback" not in done.stderr
