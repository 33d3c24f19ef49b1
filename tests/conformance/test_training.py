"""C73 to C86: the training container."""

import json
import re
import tarfile
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.conformance.conftest import READ_ONLY, Starter
from tests.conformance.containers import ContainerTarget, docker
from tests.conformance.targets import TRAINING, Launch, Outcome, Server, Target, run, serve
from tests.conformance.trees import HYPERPARAMETERS, RECORDS, JobTree, job_tree, resources
from tests.conformance.wire import invoke, wait_until

FAILURE_REASON = 1024
STOP_S = 120
METRIC = re.compile(r"^(inertia|silhouette|n_clusters|n_samples)=([0-9.eE+-]+);\r?$", re.MULTILINE)


def train(target: Target, tree: JobTree, **environment: str) -> Outcome:
    return run(target, Launch(tree.prefix, ("train",), TRAINING, environment, READ_ONLY))


def fitted(tree: JobTree) -> object:
    """Return what serving needs of a model, without what differs from run to run."""
    return json.loads((tree.model / "model.json").read_bytes())


def metrics(outcome: Outcome) -> dict[str, float]:
    return {name: float(value) for name, value in METRIC.findall(outcome.output)}


@pytest.mark.clause("C73")
def test_c73_train_ends_with_0(job: tuple[JobTree, Outcome]) -> None:
    tree, outcome = job

    assert outcome.exit_code == 0, outcome.output
    assert not (tree.output / "failure").exists()


@pytest.mark.clause("C74")
def test_c74_the_image_has_nothing_in_sagemaker_s_tree(container: ContainerTarget) -> None:
    listing = docker(
        "run", "--rm", "--entrypoint", "python", container.image,
        "-c", "import os; print([files for *_, files in os.walk('/opt/ml') if files])",
    )  # fmt: skip

    assert listing.stdout.strip() == "[]"


@pytest.mark.clause("C75")
def test_c75_all_encodings_of_hyperparameters_mean_the_same(
    target: Target, tmp_path: Path, job: tuple[JobTree, Outcome]
) -> None:
    encoded = {name: json.dumps(value) for name, value in HYPERPARAMETERS.items()}
    tree = job_tree(tmp_path / "ml", hyperparameters=encoded)

    outcome = train(target, tree)

    assert outcome.exit_code == 0, outcome.output
    assert fitted(tree) == fitted(job[0])


@pytest.mark.clause("C75")
def test_c75_a_value_that_is_not_accepted_fails_the_job_by_its_name(target: Target, tmp_path: Path) -> None:
    tree = job_tree(tmp_path / "ml", hyperparameters={"k": "several"})

    outcome = train(target, tree)

    assert outcome.exit_code != 0
    assert "k=" in tree.failure()
    assert "several" in tree.failure()


@pytest.mark.clause("C76")
def test_c76_no_file_of_the_configuration_is_needed(target: Target, tmp_path: Path) -> None:
    tree = job_tree(tmp_path / "ml", hyperparameters=None)
    tree.config.mkdir()

    outcome = train(target, tree)

    assert outcome.exit_code == 0, outcome.output
    assert metrics(outcome)["n_samples"] == 600


@pytest.mark.clause("C76")
def test_c76_the_configuration_may_lack_keys(target: Target, tmp_path: Path) -> None:
    tree = job_tree(tmp_path / "ml")
    tree.configure("inputdataconfig", {"train": {}})
    tree.configure("resourceconfig", {"current_host": "algo-1"})

    assert train(target, tree).exit_code == 0


@pytest.mark.clause("C76")
def test_c76_plain_docker_without_a_configuration_trains(target: Target, tmp_path: Path) -> None:
    tree = job_tree(tmp_path / "ml", hyperparameters=None)

    outcome = train(target, tree)

    assert outcome.exit_code == 0, outcome.output


@pytest.mark.clause("C77")
def test_c77_all_files_of_the_channel_are_read(job: tuple[JobTree, Outcome]) -> None:
    """They lie nested, beside markers that are not data, and in a container on a read-only mount."""
    assert metrics(job[1])["n_samples"] == 600


@pytest.mark.clause("C77")
def test_c77_another_channel_can_be_named(target: Target, tmp_path: Path) -> None:
    name = "Customers-2026.11_a"
    tree = job_tree(tmp_path / "ml", hyperparameters={"k": "4", "channel": name}, channel=name)
    (tree.data / "train").mkdir()

    assert train(target, tree).exit_code == 0


@pytest.mark.clause("C77")
@pytest.mark.parametrize("case", ["empty", "absent", "pipe"])
def test_c77_a_channel_without_files_fails_clearly(target: Target, tmp_path: Path, case: str) -> None:
    hyperparameters = {"channel": "validation"} if case == "absent" else {}
    mode = "Pipe" if case == "pipe" else "File"
    tree = job_tree(tmp_path / "ml", hyperparameters=hyperparameters, records=0, mode=mode)

    outcome = train(target, tree)

    assert outcome.exit_code != 0
    assert {"empty": "train", "absent": "validation", "pipe": "Pipe"}[case] in tree.failure()
    assert "Traceback" not in outcome.output
    assert list(tree.model.iterdir()) == []


@pytest.mark.clause("C78")
def test_c78_what_was_trained_is_served_after_packing_and_unpacking(
    target: Target, tmp_path: Path, job: tuple[JobTree, Outcome], server: Server
) -> None:
    """The shared server's model was trained by a process: container and process agree."""
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for path in sorted(job[0].model.iterdir()):
            packed.add(path, path.name)
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "ml" / "model", filter="data")

    trained = serve(target, Launch(tmp_path / "ml"))
    try:
        answer = invoke(trained.address, RECORDS)
    finally:
        trained.running.remove()

    assert answer.status == 200
    assert answer.json() == invoke(server.address, RECORDS).json()


@pytest.mark.clause("C79")
def test_c79_a_report_lies_in_the_output_data(job: tuple[JobTree, Outcome]) -> None:
    reports = [json.loads(path.read_bytes()) for path in (job[0].output / "data").glob("*.json")]

    assert reports
    assert all(isinstance(report, dict) and report for report in reports)


@pytest.mark.clause("C80")
def test_c80_a_failure_leaves_its_cause_in_the_first_1024_characters(target: Target, tmp_path: Path) -> None:
    tree = job_tree(tmp_path / "ml", records=0)
    (tree.data / "train" / "customers.csv").write_text("Name,Colour\n" + "Ann,red\n" * 1000)

    outcome = train(target, tree)

    assert outcome.exit_code != 0
    assert "Age" in tree.failure()[:FAILURE_REASON]
    assert "Ann" not in tree.failure()
    assert "Traceback" not in tree.failure()
    assert list(tree.model.iterdir()) == []


@pytest.mark.clause("C81")
def test_c81_sigterm_stops_the_training_without_half_a_model(start: Starter, tmp_path: Path) -> None:
    tree = job_tree(tmp_path / "ml", hyperparameters={"k": "auto"}, records=400_000)
    running = start(Launch(tree.prefix, ("train",), TRAINING, flags=READ_ONLY))
    wait_until(lambda: "raining" in running.output() or running.exit_code() is not None, what="the start")

    running.terminate()
    code = running.wait(deadline_s=STOP_S)

    assert code not in {137, -9}
    assert code != 0
    assert not (tree.model / "manifest.json").exists()
    assert "Traceback" not in running.output()


@pytest.mark.clause("C82", "C84")
def test_c82_a_second_run_on_the_same_volume_gives_the_same_model(
    target: Target, tmp_path: Path, job: tuple[JobTree, Outcome]
) -> None:
    """The first run was stopped half-way, as on Spot; the second one has SageMaker's own variables."""
    tree = job_tree(tmp_path / "ml")
    (tree.model / "model.json").write_text("{")
    (tree.output / "data").mkdir()
    (tree.output / "data" / "training.json").write_text("{")

    outcome = train(target, tree, TRAINING_JOB_NAME="again", TRAINING_JOB_ARN="arn:aws:sagemaker:::again")

    assert outcome.exit_code == 0, outcome.output
    assert fitted(tree) == fitted(job[0])


@pytest.mark.clause("C83")
def test_c83_each_metric_is_on_a_line_that_a_regex_finds(job: tuple[JobTree, Outcome]) -> None:
    names = [name for name, _ in METRIC.findall(job[1].output)]

    assert sorted(names) == sorted(set(names))
    assert {"inertia", "silhouette", "n_clusters"} <= set(names)
    assert metrics(job[1])["n_clusters"] == 4


@pytest.mark.clause("C84")
def test_c84_variables_of_the_training_toolkit_may_move_the_model(target: Target, tmp_path: Path) -> None:
    tree = job_tree(tmp_path / "ml")
    elsewhere = tree.output / "moved"
    seen = "/opt/ml/output/moved" if target.name == "container" else str(elsewhere)

    outcome = train(target, tree, SM_MODEL_DIR=seen)

    assert outcome.exit_code == 0, outcome.output
    assert (elsewhere / "model.json").exists()


@pytest.mark.clause("C85")
def test_c85_a_second_host_leaves_the_training_to_the_first(target: Target, tmp_path: Path) -> None:
    tree = job_tree(tmp_path / "ml")
    tree.configure("resourceconfig", resources("algo-2", "algo-1", "algo-2"))

    outcome = train(target, tree)

    assert outcome.exit_code == 0, outcome.output
    assert list(tree.model.iterdir()) == []
    assert not (tree.output / "failure").exists()


@pytest.mark.clause("C86")
def test_c86_training_needs_no_network_and_bears_a_tty(job: tuple[JobTree, Outcome]) -> None:
    """The job ran with --network none --tty --read-only --tmpfs /tmp."""
    assert job[1].exit_code == 0
    assert "Traceback" not in job[1].output


@pytest.mark.clause("C140")
def test_c140_a_request_that_never_ends_does_not_outlast_the_grace(
    unending: Future[tuple[int, float]],
) -> None:
    """Here, in the last file, since it began with the first one and takes nearly half a minute."""
    code, took_s = unending.result(STOP_S)

    assert code in {0, 143, -15}
    assert took_s < 30
