"""Model versions in S3 and in SageMaker's registry."""

import json
from pathlib import Path

import boto3
import pytest

from service.artifact import Artifact
from service.store import Store
from tests.aws.conftest import Segserve
from tests.aws.sagemaker import SageMaker

LOCATION = "s3://company-models/crm"


@pytest.fixture(name="bucket", autouse=True)
def _bucket(aws: SageMaker) -> None:
    assert aws is not None
    boto3.client("s3").create_bucket(Bucket="company-models")


def test_push_and_pull_bring_the_same_bytes_into_another_store(
    segserve: Segserve, store_path: Path, tmp_path: Path, version: str
) -> None:
    empty = segserve("models", "list", LOCATION).stdout
    first = segserve("models", "push", LOCATION, "--json").document
    second = segserve("models", "push", LOCATION, "--json").document
    listed = segserve("models", "list", LOCATION, "--json").document
    pulled = segserve("models", "pull", LOCATION, "--store", "mine", "--json").document
    again = segserve("models", "pull", LOCATION, version, "--store", "mine", "--json").document
    archive = store_path / version / "model.tar.gz"

    assert empty.startswith("No model in s3://company-models/crm yet")
    assert first == {
        "version": version,
        "url": f"{LOCATION}/{version}/model.tar.gz",
        "written": True,
        "package": None,
    }
    assert second["written"] is False
    assert [(row["version"], row["size"]) for row in listed] == [(version, archive.stat().st_size)]
    assert (tmp_path / "mine" / version / "model.tar.gz").read_bytes() == archive.read_bytes()
    assert (pulled["written"], again["written"]) == (True, False)
    assert Store(tmp_path / "mine").resolve().parent.name == version


def test_a_damaged_artifact_is_not_taken_in(segserve: Segserve, tmp_path: Path, version: str) -> None:
    segserve("models", "push", LOCATION)
    boto3.client("s3").put_object(
        Bucket="company-models", Key=f"crm/{version}/model.tar.gz", Body=b"not a model"
    )
    result = segserve("models", "pull", LOCATION, "--store", "mine")

    assert result.returncode == 3
    assert "is not a gzip-compressed tar archive" in result.stderr
    assert Store(tmp_path / "mine").versions() == []


def test_another_version_under_a_versions_name_is_not_taken_in(
    segserve: Segserve, tmp_path: Path, store_path: Path, version: str
) -> None:
    other = "20200101T000000Z-00000000"
    archive = (store_path / version / "model.tar.gz").read_bytes()
    boto3.client("s3").put_object(Bucket="company-models", Key=f"crm/{other}/model.tar.gz", Body=archive)
    result = segserve("models", "pull", LOCATION, "--store", "mine")

    assert result.returncode == 3
    assert f"the artifact says that it is {version}, and should be {other}" in result.stderr
    assert Store(tmp_path / "mine").versions() == []


def test_register_makes_one_package_with_metrics_and_pending_approval(
    aws: SageMaker, segserve: Segserve, image: str, version: str, artifact: Artifact
) -> None:
    arguments = ("models", "push", LOCATION, "--register", "crm", "--image", image, "--json")
    first = segserve(*arguments).document["package"]
    second = segserve(*arguments).document["package"]
    (package,) = aws.packages["crm"]
    metrics = json.loads(
        boto3.client("s3")
        .get_object(Bucket="company-models", Key=f"crm/{version}/metrics.json")["Body"]
        .read()
    )
    trained = json.loads(artifact.files["training.json"])["metrics"]

    assert first == second == package["ModelPackageArn"]
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["CustomerMetadataProperties"]["segserve:model-digest"] == artifact.model.digest
    container = package["InferenceSpecification"]["Containers"][0]
    assert container["ModelDataUrl"] == f"{LOCATION}/{version}/model.tar.gz"
    assert "@sha256:" in container["Image"]
    assert metrics["clustering_metrics"]["silhouette"]["value"] == trained["silhouette"]
    assert segserve(*arguments[:-1], "--approve").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["models", "push", "company-models"], 2, "'company-models' is not an S3 location"),
        (
            ["models", "push", "s3://absent-bucket/x"],
            1,
            "(looked in us-east-1): make it, e.g. with 'aws s3 mb s3://absent-bucket --region us-east-1'",
        ),
        (["models", "push", LOCATION, "--register", "crm"], 2, "--register needs --image"),
        (["models", "push", LOCATION, "--approve"], 2, "go with --register"),
        (["models", "pull", LOCATION], 3, "there is no model in s3://company-models/crm yet"),
        (["models", "pull", "s3://absent-bucket/x"], 1, "The specified bucket does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    segserve: Segserve, arguments: list[str], code: int, message: str
) -> None:
    result = segserve(*arguments)

    assert result.returncode == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_pull_names_the_versions_there_are(segserve: Segserve, version: str) -> None:
    segserve("models", "push", LOCATION)
    result = segserve("models", "pull", LOCATION, "20200101T000000Z-00000000")

    assert result.returncode == 3
    assert f"it holds {version}" in result.stderr
