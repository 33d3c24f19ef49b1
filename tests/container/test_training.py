"""What `docker run IMAGE train` does with SageMaker's tree (C73 to C86)."""

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Container, Mapping
from pathlib import Path

import httpx
import pytest

from service.artifact import read_artifact
from service.store import Store
from service.training.sample import write_sample
from tests.conftest import clean_environment, start_server, wait_until
from tests.container.engine import container, run_to_end

METRIC = re.compile(r"^(silhouette|inertia|n_clusters)=[-+.e\d]+;$", re.MULTILINE)
STOPPED = 143
RECORDS = b"[" + b",".join(b"[%d, %d.5]" % (18 + n % 52, 100 * n) for n in range(500)) + b"]"


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    """Lay out a training job of 300 customers, without any configuration."""
    tree = tmp_path / "ml"
    for folder in ("input/config", "input/data/train", "model", "output/data"):
        (tree / folder).mkdir(parents=True)
    write_sample(tree / "input/data/train/customers.csv", n=300)
    return tree


def configure(tree: Path, **files: object) -> None:
    for name, content in files.items():
        (tree / "input/config" / f"{name}.json").write_text(json.dumps(content))


def train(image: str, tree: Path, *command: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    mounted = ("--volume", f"{tree}:/opt/ml", "--network", "none", *options)
    return run_to_end(image, *(command or ("train",)), options=mounted)


@pytest.mark.parametrize(
    ("hyperparameters", "k", "transform"),
    [
        ({"k": "3"}, {3}, "none"),
        ({"k": '"3"', "transform": '"log1p"', "seed": '"7"'}, {3}, "log1p"),
        ({"n_clusters": "3", "transform": "log1p", "_tuning_objective_metric": "silhouette"}, {3}, "log1p"),
        ({"k": "auto", "sagemaker_program": '"train.py"', "sagemaker_region": "x"}, range(2, 11), "none"),
    ],
    ids=["bare", "encoded", "synonym", "with SageMaker's own"],
)
def test_hyperparameters_come_as_strings(
    image: str, tree: Path, hyperparameters: Mapping[str, str], k: Container[int], transform: str
) -> None:
    configure(tree, hyperparameters=hyperparameters)
    code, output = train(image, tree)

    assert code == 0, output
    model = read_artifact(tree / "model").model
    assert len(model.centroids) in k
    assert model.transform.value == transform


def test_channels_may_hold_many_nested_files_and_be_read_only(image: str, tree: Path) -> None:
    channel = tree / "input/data/train"
    (channel / "customers.csv").unlink()
    for number in range(6):
        folder = channel / f"year={2020 + number}" / "part"
        folder.mkdir(parents=True)
        write_sample(folder / f"{number}.csv", n=50, seed=number)
    (channel / "_SUCCESS").write_text("")
    code, output = train(image, tree, options=("--volume", f"{tree / 'input'}:/opt/ml/input:ro"))

    assert code == 0, output
    assert sum(segment.size for segment in read_artifact(tree / "model").model.segments) == 300


def test_missing_configuration_means_the_defaults(image: str, tree: Path) -> None:
    code, output = train(image, tree)

    assert code == 0, output
    assert json.loads((tree / "output/data/training.json").read_text())["data"]["used"] == 300
    assert not (tree / "output/failure").exists()


def test_metrics_are_lines_that_the_tuner_finds(image: str, tree: Path) -> None:
    configure(tree, hyperparameters={"k": "3"})
    _, output = train(image, tree)

    names = METRIC.findall(output)
    assert {"silhouette", "inertia"} <= set(names)
    assert len(names) == len(set(names))


def test_a_terminal_changes_nothing(image: str, tree: Path) -> None:
    configure(tree, hyperparameters={"k": "3"})
    code, output = train(image, tree, options=("--tty", "--interactive"))

    assert code == 0
    assert METRIC.search(output.replace("\r\n", "\n"))
    assert "\x1b[" not in output


@pytest.mark.parametrize(
    ("hyperparameters", "expected_code", "cause"),
    [({"k": "many"}, 2, "k='many'"), ({"channel": "absent"}, 1, "absent"), ({"typo": "1"}, 2, "typo")],
    ids=["value", "channel", "name"],
)
def test_a_failure_says_why(
    image: str, tree: Path, hyperparameters: Mapping[str, str], expected_code: int, cause: str
) -> None:
    configure(tree, hyperparameters=hyperparameters)
    code, output = train(image, tree)

    failure = (tree / "output/failure").read_text()
    assert code == expected_code
    assert cause in failure
    assert len(failure) <= 1024
    assert "Traceback" not in output
    assert not list((tree / "model").iterdir())


def test_an_empty_channel_is_a_failure(image: str, tree: Path) -> None:
    (tree / "input/data/train/customers.csv").unlink()
    code, _ = train(image, tree)

    assert code == 1
    assert "holds no file" in (tree / "output/failure").read_text()


def test_a_second_host_leaves_the_work_to_the_first(image: str, tree: Path) -> None:
    configure(tree, resourceconfig={"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]})
    code, _ = train(image, tree)

    assert code == 0
    assert not list((tree / "model").iterdir())


def test_stop_ends_a_job_in_time_and_leaves_no_half_model(image: str, tree: Path) -> None:
    write_sample(tree / "input/data/train/customers.csv", n=400_000)
    with container(image, "train", options=("--volume", f"{tree}:/opt/ml")) as running:
        wait_until(lambda: "Training begins" in running.output(), what="the training to begin")

        assert running.stop(grace_s=120) == STOPPED
        assert "Stopped by SIGTERM" in running.output()
    assert not list((tree / "model").iterdir())


@pytest.mark.parametrize("command", [(), ("serve",)], ids=["no argument", "serve"])
def test_a_training_tree_without_a_model_is_trained_on(
    image: str, tree: Path, command: tuple[str, ...]
) -> None:
    """SDK v3's local trainer passes no `train`."""
    configure(tree, hyperparameters={"k": "3"})
    with container(image, *command, options=("--volume", f"{tree}:/opt/ml")) as running:
        assert running.wait() == 0, running.output()

    assert len(read_artifact(tree / "model").model.centroids) == 3


def test_round_trip_gives_the_labels_of_a_local_run(image: str, tree: Path, tmp_path: Path) -> None:
    """Train in the container, pack and unpack as SageMaker does, serve there; compare with this machine."""
    configure(tree, hyperparameters={"k": "4"})
    code, output = train(image, tree)
    assert code == 0, output
    packed = tmp_path / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(tree / "model", arcname=".")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir(mode=0o755)
    with tarfile.open(packed) as archive:
        assert all(member.isfile() for member in archive.getmembers() if member.name != ".")
        archive.extractall(unpacked, filter="data")

    options = ("--volume", f"{unpacked}:/opt/ml/model:ro", "--publish", "127.0.0.1::8080")
    with container(image, "serve", options=options) as running:
        running.wait_until_ready()
        answer = httpx.post(f"{running.url()}/invocations", content=RECORDS)

    assert answer.json() == local_labels(tree, tmp_path)


def local_labels(tree: Path, folder: Path) -> list[int]:
    """Train on the same file and serve it, without a container."""
    store = folder / "store"
    channel = tree / "input/data/train/customers.csv"
    subprocess.run(
        [sys.executable, "-m", "service", "train", str(channel), "--k", "4", "--store", str(store)],
        env=clean_environment(),
        capture_output=True,
        check=True,
    )
    assert read_artifact(Store(store).resolve()).model.digest == read_artifact(tree / "model").model.digest
    server = start_server(folder, "--store", str(store))
    try:
        labels: list[int] = httpx.post(f"{server.url}/invocations", content=RECORDS).json()
    finally:
        server.stop()
    return labels
