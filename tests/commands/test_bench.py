"""`segserve bench`: one server or two, a table, a chart, JSON, and one sentence for an error."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.conftest import RunningServer, clean_environment, start_server


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "bench", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


QUICK = ("--tool", "python", "--seconds", "1", "--rounds", "1", "--warm-up", "0", "--connections", "2")


def test_a_server_is_measured_with_several_sizes(server: RunningServer) -> None:
    done = bench(server.url, *QUICK, "--records", "1", "--records", "2000")

    assert done.returncode == 0, done.stderr
    assert "1 record, 15 bytes" in done.stdout
    assert "2,000 records" in done.stdout
    assert "p99.9" in done.stdout
    assert "█" in done.stdout
    assert f"{server.url}/invocations" in done.stdout


def test_two_servers_are_compared_in_one_run(tmp_path: Path, server: RunningServer, store_path: Path) -> None:
    other = start_server(tmp_path, "--store", str(store_path))
    path = tmp_path / "plot.svg"
    done = bench(server.url, other.url, *QUICK, "--records", "10", "--plot", str(path), "--json")
    document = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert [result["url"] for result in document["results"]] == [
        f"{server.url}/invocations",
        f"{other.url}/invocations",
    ]
    for result in document["results"]:
        assert result["failed"] == 0
        assert result["records_per_s"] == pytest.approx(10 * result["requests_per_s"])
        assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"] <= result["latency_ms"]["p100"]
    assert document["answers_differ"] == []
    root = ET.parse(path).getroot()  # our own
    lines = root.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    assert all(len(line.attrib["points"].split()) == 7 for line in lines)
    text = bench(server.url, other.url, *QUICK, "--records", "10").stdout
    assert "second / first" in text
    assert "▒" in text
    assert other.stop() == 0


def test_a_body_of_ones_own_is_posted(tmp_path: Path, server: RunningServer) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("25,1250\n45,3000\n")
    options = (*QUICK, "--body", str(path), "--content-type", "text/csv", "--json")
    (result,) = json.loads(bench(server.url, *options).stdout)["results"]

    assert result["workload"] == "mine.csv"
    assert result["payload_bytes"] == 16
    assert result["records_per_s"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["http://127.0.0.1:9"], 1, "http://127.0.0.1:9/invocations cannot be reached"),
        (["URL/nowhere"], 1, "answered 404 to 1 record"),
        (["URL", "URL/invocations"], 2, "the same server"),
        (["URL", "URL/a", "URL/b"], 2, "3 URLs are not accepted"),
        (["ftp://a"], 2, "'ftp://a' is not accepted"),
        (["http://"], 2, "is not accepted"),
        (["URL", "--tool", "ab"], 2, "one of wrk, hey, python"),
        (["URL", "--plot", "absent/plot.svg", "--seconds", "1", "--rounds", "1"], 1, "absent/plot.svg"),
    ],
)
def test_an_error_is_one_sentence(
    server: RunningServer, arguments: list[str], code: int, message: str
) -> None:
    options = [argument.replace("URL", server.url) for argument in arguments]
    done = bench(*options, "--records", "1", "--warm-up", "0")

    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
