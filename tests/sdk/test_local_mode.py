"""Prove the image on the SageMaker SDK's own local mode (C100): no AWS, and the image as it is."""

import csv
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.sdk.localmode import PYTHON, DriverError, LocalMode, has_network, why_not

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("sdk"), pytest.mark.clause("C100")]

SINGLE_RECORDS: Final = 40
COPIES: Final = 250
"""Of the records, so that they are more than one mini-batch of 1 MB."""

RECORDS_JSON: Final = "[[25, 1250.0], [45, 3000.5], [60, 10.5]]"
RECORDS_CSV: Final = "25,1250.0\n45,3000.5\n60,10.5\n"


@dataclass(frozen=True, slots=True)
class Scored:
    """Hold records and the segments that `segserve score` gives them."""

    records: list[tuple[str, float]]
    """Age as it is in the file, and Spending_Power."""
    segments: list[str]


def segserve(*arguments: str | Path) -> str:
    """Run the project's own command; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(name="sdk", scope="module")
def _sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMode]:
    """Run the SDK in a folder of its own; nothing of it is left afterwards."""
    reason = why_not()
    if reason and os.environ.get("SEGSERVE_CI") and os.environ.get(PYTHON):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    had_network = has_network()
    sdk = LocalMode.below(tmp_path_factory.mktemp("sdk"))
    try:
        yield sdk
    finally:
        sdk.remove(has_own_network=not had_network)
    assert (sdk.leftovers(), sdk.folder.exists(), has_network()) == ([], False, had_network)


@pytest.fixture(name="channel", scope="module")
def _channel(sdk: LocalMode) -> Path:
    path = sdk.folder / "channel"
    path.mkdir()
    segserve("sample-data", "--n", "300", "--output", path / "customers.csv")
    return path


@pytest.fixture(name="artifact", scope="module")
def _artifact(sdk: LocalMode, channel: Path) -> Path:
    """Train by SageMaker's API; return the model.tar.gz, where the SDK has put it."""
    output = sdk.folder / "trained"
    result = sdk.run("train", training_job(channel, output, k="4"))
    assert result == {"status": "Completed", "artifact": f"file://{output}/model.tar.gz"}
    return output / "model.tar.gz"


@pytest.fixture(name="scored", scope="module")
def _scored(sdk: LocalMode, channel: Path, artifact: Path) -> Scored:
    output = sdk.folder / "scored.csv"
    segserve("score", channel / "customers.csv", "--model", artifact, "--output", output)
    with output.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["note"]]
    return Scored(
        [(row["Age"], float(row["Income"]) / float(row["Purchases"])) for row in rows],
        [row["segment"] for row in rows],
    )


@pytest.fixture(name="transformed", scope="module")
def _transformed(sdk: LocalMode, artifact: Path, scored: Scored) -> Any:
    """Run all transform jobs by one driver; return what became of each."""
    lines = {
        "text/csv": [f"{age},{power}" for age, power in scored.records],
        "application/jsonlines": [f"[{age}, {power}]" for age, power in scored.records],
    }
    jobs = []
    for name, (content_type, copies, options) in TRANSFORMS.items():
        path = sdk.folder / "transform" / name
        path.mkdir(parents=True)
        chosen = lines[content_type] * copies if copies else lines[content_type][:SINGLE_RECORDS]
        (path / "records").write_text("\n".join([*chosen, ""]))
        uris = {"input": f"file://{path}", "output": f"file://{path}.out"}
        jobs.append({"name": name, "content_type": content_type, "options": options, **uris})
    return sdk.run("transform", {"model": f"file://{artifact}", "jobs": jobs})


TRANSFORMS: Final[dict[str, tuple[str, int, dict[str, Any]]]] = {
    "csv-multi": ("text/csv", COPIES, {"BatchStrategy": "MultiRecord", "MaxPayloadInMB": 1}),
    "csv-single": ("text/csv", 0, {"BatchStrategy": "SingleRecord"}),
    "jsonlines-multi": (
        "application/jsonlines",
        COPIES,
        {"BatchStrategy": "MultiRecord", "MaxPayloadInMB": 1},
    ),
    "jsonlines-single": ("application/jsonlines", 0, {"BatchStrategy": "SingleRecord"}),
    "csv-container": ("text/csv", 1, {"Environment": {"SAGEMAKER_BATCH_STRATEGY": "MultiRecord"}}),
    "csv-default": ("text/csv", 1, {}),
}
"""Content type, copies of the records, options of the job; 0 copies are the first few records."""


def training_job(channel: Path, output: Path, **hyperparameters: str) -> dict[str, Any]:
    return {
        "name": "segserve",
        "channel": f"file://{channel}",
        "output": f"file://{output}",
        "instances": 1,
        "hyperparameters": hyperparameters,
    }


def test_a_training_job_leaves_an_artifact_that_segserve_accepts(artifact: Path, scored: Scored) -> None:
    with tarfile.open(artifact) as archive:
        names = set(archive.getnames())

    assert names == {"manifest.json", "model.json", "pipeline.skops", "report.html", "training.json"}
    assert set(scored.segments) == {"0", "1", "2", "3"}


def test_a_failed_training_job_says_why(sdk: LocalMode, channel: Path) -> None:
    output = sdk.folder / "failed"

    with pytest.raises(DriverError, match="Process exited with code: 2"):
        sdk.run("train", training_job(channel, output, k="many"))

    with tarfile.open(output / "output.tar.gz") as archive:
        failure = archive.extractfile("failure")
        assert failure is not None
        assert failure.read().startswith(b"k='many' is not accepted")


def test_a_trainer_that_passes_no_command_trains(
    sdk: LocalMode, channel: Path, scored: Scored, artifact: Path
) -> None:
    root = sdk.folder / "trainer"
    root.mkdir()
    job = {"name": "segserve", "channel": str(channel), "root": str(root), "hyperparameters": {"k": 4}}

    result = sdk.run("model_trainer", job)

    again = root / "compressed_artifacts" / "model.tar.gz"
    output = sdk.folder / "scored-again.csv"
    segserve("score", channel / "customers.csv", "--model", again, "--output", output)
    with output.open(newline="") as file:
        segments = [row["segment"] for row in csv.DictReader(file) if not row["note"]]
    assert result == {"role": None, "session": None}, "no AWS session"
    assert again != artifact
    assert segments == scored.segments


def test_an_endpoint_answers_every_content_type_alike(sdk: LocalMode, artifact: Path, scored: Scored) -> None:
    records = [[int(age), power] for age, power in scored.records]
    as_csv = "".join(f"{age},{power}\n" for age, power in records)
    requests = [
        {"Body": json.dumps(records), "ContentType": "application/json"},
        {"Body": json.dumps(records)},
        {"Body": as_csv, "ContentType": "text/csv", "Accept": "text/csv"},
        {"Body": "[]junk", "ContentType": "application/json"},
    ]

    result = sdk.run("endpoint", {"model": f"file://{artifact}", "requests": requests})

    answers = result["answers"]
    labels = [int(segment) for segment in scored.segments]
    assert result["status"] == "InService"
    assert [answer["status"] for answer in answers] == [200, 200, 200, 400]
    assert [json.loads(answer["body"]) for answer in answers[:2]] == [labels, labels]
    assert answers[2]["content_type"] == "text/csv"
    assert answers[2]["body"].split() == scored.segments


@pytest.mark.clause("C46", "C47", "C48", "C51", "C53", "C54", "C55")
@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "csv-default"])
def test_a_transform_gives_every_record_its_segment(
    sdk: LocalMode, scored: Scored, transformed: Any, name: str
) -> None:
    _, copies, options = TRANSFORMS[name]
    expected = scored.segments * copies if copies else scored.segments[:SINGLE_RECORDS]

    content = (sdk.folder / "transform" / f"{name}.out" / "records.out").read_text()

    # AssembleWith=Line adds a newline after each response, which here ends in one already (C54).
    strategy = options.get("BatchStrategy", "MultiRecord")
    mini_batches = content.count("\n\n")
    assert transformed[name] == {"status": "Completed", "strategy": strategy}
    assert content.split() == expected
    assert mini_batches == (SINGLE_RECORDS if strategy == "SingleRecord" else mini_batches)
    assert copies < COPIES or mini_batches > 1


@pytest.mark.clause("C49")
def test_the_documented_spelling_of_a_strategy_is_refused_by_local_mode(transformed: Any) -> None:
    """The container proposes MULTI_RECORD, as AWS documents; docs/sdk.md has the two ways around."""
    assert transformed["csv-default"]["status"] == "Failed"
    assert transformed["csv-default"]["error"].startswith("Invalid Batch Strategy")


def test_the_model_builder_does_not_start_an_image_of_ones_own(sdk: LocalMode, artifact: Path) -> None:
    """A fact of the SDK, not of the image: when this fails, docs/sdk.md has something better to say."""
    model = sdk.folder / "unpacked"
    with tarfile.open(artifact) as archive:
        archive.extractall(model, filter="data")

    result = sdk.run("model_builder", {"model": str(model)})

    assert result == {"image": sdk.image, "error": "'NoneType' object has no attribute 'logs'"}
