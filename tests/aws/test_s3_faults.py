"""S3 that fails, breaks off, lies and dawdles: what comes is whole, or it is not taken in at all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import boto3
import pytest

from service.artifact import read_artifact
from service.store import Store
from tests.aws.conftest import Segserve
from tests.aws.faulty_s3 import Fault, FaultyS3, faulty_s3
from tests.aws.sagemaker import SageMaker

LOCATION = "s3://company-models/crm"


@pytest.fixture(name="s3")
def _s3(aws: SageMaker, moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    assert aws is not None
    boto3.client("s3").create_bucket(Bucket="company-models")
    with faulty_s3(moto_url) as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        yield s3


@pytest.mark.parametrize(
    "faults",
    [
        [Fault.ERROR_500],
        [Fault.SLOW_DOWN, Fault.ERROR_500],
        [Fault.RESET],
        [Fault.CUT],
        [Fault.RESET_IN_BODY],
        [Fault.CUT, Fault.RESET, Fault.RESET_IN_BODY, Fault.ERROR_500, Fault.CUT],
        [Fault.CUT] * 8,
        [Fault.SLOW],
    ],
    ids="+".join,
)
def test_a_pull_goes_on_until_all_has_come(
    s3: FaultyS3, segserve: Segserve, store_path: Path, tmp_path: Path, version: str, faults: Sequence[Fault]
) -> None:
    """However often it breaks off: attempts are counted that bring nothing."""
    assert segserve("models", "push", LOCATION).returncode == 0
    s3.faults.extend(faults)
    result = segserve("models", "pull", LOCATION, "--store", "mine")

    assert result.returncode == 0, result.stderr
    assert not s3.faults
    archive = (store_path / version / "model.tar.gz").read_bytes()
    assert (tmp_path / "mine" / version / "model.tar.gz").read_bytes() == archive


def test_a_pull_that_broke_off_fetches_only_the_rest(
    s3: FaultyS3, segserve: Segserve, store_path: Path, version: str
) -> None:
    segserve("models", "push", LOCATION)
    s3.seen.clear()
    s3.faults.extend([Fault.CUT, Fault.CUT])
    assert segserve("models", "pull", LOCATION, "--store", "mine").returncode == 0

    size = (store_path / version / "model.tar.gz").stat().st_size
    half = size // 2
    ranges = [found for method, found in s3.seen if method == "GET"]
    assert ranges == ["", f"bytes={half}-", f"bytes={half + (size - half) // 2}-"]


def test_changed_bytes_are_not_taken_in(s3: FaultyS3, segserve: Segserve, tmp_path: Path) -> None:
    segserve("models", "push", LOCATION)
    s3.faults.append(Fault.CHANGED)
    result = segserve("models", "pull", LOCATION, "--store", "mine")

    assert result.returncode in {1, 3}
    assert result.stderr.count("\n") == 1
    assert Store(tmp_path / "mine").versions() == []
    assert segserve("models", "pull", LOCATION, "--store", "mine").returncode == 0


def test_changed_bytes_of_the_rest_are_noticed_before_anything_is_unpacked(
    s3: FaultyS3, segserve: Segserve, tmp_path: Path
) -> None:
    """S3 gives a checksum of the whole alone: nobody else looks at what came in parts."""
    segserve("models", "push", LOCATION)
    s3.faults.extend([Fault.CUT, Fault.CHANGED])
    result = segserve("models", "pull", LOCATION, "--store", "mine")

    assert result.returncode == 1
    assert "is not what S3 holds: try again" in result.stderr
    assert result.stderr.count("\n") == 1
    assert Store(tmp_path / "mine").versions() == []


def test_the_rest_of_another_object_is_not_put_behind_the_first_half(
    s3: FaultyS3, moto_url: str, segserve: Segserve, version: str, tmp_path: Path
) -> None:
    segserve("models", "push", LOCATION)
    there = {"Bucket": "company-models", "Key": f"crm/{version}/model.tar.gz"}
    upstream = boto3.client("s3", endpoint_url=moto_url)
    s3.replace = lambda: upstream.put_object(**there, Body=bytes(2**20))
    s3.faults.extend([Fault.CUT, Fault.REPLACED])
    result = segserve("models", "pull", LOCATION, "--store", "mine")

    assert result.returncode == 1
    assert "pre-conditions" in result.stderr
    assert result.stderr.count("\n") == 1
    assert Store(tmp_path / "mine").versions() == []


def test_an_s3_that_never_gets_it_across_is_one_sentence(
    s3: FaultyS3, segserve: Segserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.aws.downloads._PAUSE_S", 0.001)
    segserve("models", "push", LOCATION)
    s3.faults.extend([Fault.CUT] * 40)
    result = segserve("models", "pull", LOCATION, "--store", "mine")

    assert result.returncode == 1
    assert "does not get across" in result.stderr
    assert result.stderr.count("\n") == 1
    assert Store(tmp_path / "mine").versions() == []


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.SLOW_DOWN, Fault.RESET, Fault.LOST_ANSWER])
def test_a_push_is_repeated_until_it_is_there(
    s3: FaultyS3, segserve: Segserve, tmp_path: Path, version: str, fault: Fault
) -> None:
    s3.faults.append(fault)
    pushed = segserve("models", "push", LOCATION)

    assert pushed.returncode == 0, pushed.stderr
    assert [method for method, _ in s3.seen].count("PUT") == 2
    assert segserve("models", "pull", LOCATION, "--store", "mine").returncode == 0
    assert read_artifact(Store(tmp_path / "mine").resolve(version)).manifest.model_version == version


def test_a_push_over_something_else_says_so(s3: FaultyS3, segserve: Segserve, version: str) -> None:
    boto3.client("s3", endpoint_url=s3.url).put_object(
        Bucket="company-models",
        Key=f"crm/{version}/model.tar.gz",
        Body=b"something else",
        ChecksumAlgorithm="SHA256",
    )
    result = segserve("models", "push", LOCATION)

    assert result.returncode == 1
    assert "with another content" in result.stderr
