"""The files in docker/ that people start from do what they say."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.artifact import read_artifact
from service.training.sample import write_sample
from tests.conftest import clean_environment, wait_until
from tests.container.engine import BODY, container, docker

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    tree = tmp_path / "ml"
    shutil.copytree(DOCKER / "ml" / "input", tree / "input")
    return tree


def test_sample_tree_trains_without_docker(tree: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "train"],
        env=clean_environment(SERVICE_PREFIX=str(tree)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(read_artifact(tree / "model").model.centroids) == 4


def test_sample_tree_trains_in_a_container(image: str, tree: Path) -> None:
    with container(image, "train", options=("--volume", f"{tree}:/opt/ml")) as running:
        assert running.wait() == 0, running.output()

    assert len(read_artifact(tree / "model").model.centroids) == 4


def test_sample_customers_are_those_of_the_command(tmp_path: Path) -> None:
    write_sample(tmp_path / "customers.csv", n=300)

    assert (DOCKER / "ml/input/data/train/customers.csv").read_bytes() == (
        tmp_path / "customers.csv"
    ).read_bytes()


def test_compose_runs_hardened() -> None:
    yaml = pytest.importorskip("yaml")
    serve: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["serve"]

    assert serve["user"] == "1000:1000"
    assert serve["read_only"] is True
    assert serve["tmpfs"] == ["/tmp"]
    assert serve["cap_drop"] == ["ALL"]
    assert serve["security_opt"] == ["no-new-privileges:true"]
    assert all(volume["read_only"] for volume in serve["volumes"])


def test_compose_trains_and_serves(image: str, tmp_path: Path) -> None:
    """The published port, the mount and user 1000 together: what people copy."""
    compose = compose_command()
    if compose is None:
        pytest.skip("there is neither docker compose nor docker-compose: see make sdk-test")
    shutil.copytree(DOCKER, tmp_path / "docker")
    environment = {**os.environ, "SEGSERVE_IMAGE": image, "SEGSERVE_PORT": "0"}

    def run(*arguments: str) -> str:
        command = [
            *compose,
            "-p",
            tmp_path.name.lower(),
            "-f",
            str(tmp_path / "docker/compose.yaml"),
            *arguments,
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        run("run", "--rm", "train")
        run("up", "--detach", "serve")
        port = run("port", "serve", "8080").strip().rpartition(":")[2]
        wait_until(lambda: pings(port), what="the composed service")

        assert httpx.post(f"http://127.0.0.1:{port}/invocations", content=BODY).status_code == 200
    finally:
        run("down", "--volumes")


def compose_command() -> list[str] | None:
    """Return how Compose is called here."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if docker("compose", "version", is_checked=False).returncode == 0:
        return ["docker", "compose"]
    return None


def pings(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ping").status_code == 200
    except httpx.TransportError:
        return False
