"""Signatures go to S3 and back, and an endpoint trusts the keys that its deployment trusts."""

import shutil
from pathlib import Path

import boto3
import pytest

from service.artifact import ARCHIVE, Artifact, read_artifact
from service.signing import PrivateKey, sign_artifact, signer_of
from service.store import Store
from tests.aws.conftest import BUCKET, Segserve
from tests.aws.sagemaker import SageMaker
from tests.untrusted import BREACHES

PREFIX = f"s3://{BUCKET}/segserve/models"


@pytest.fixture(name="key", scope="module")
def _key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(name="signed")
def _signed(
    tmp_path: Path, store_path: Path, segserve: Segserve, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """Return a store of one signed version, which commands then use, with the key to trust."""
    assert segserve is not None  # it names the store of the tests, and this one is named after it
    store = Store(tmp_path / "signed")
    shutil.copytree(store_path, store.root)
    sign_artifact(store.resolve(), key.sign)
    monkeypatch.setenv("SERVICE_STORE", str(store.root))
    monkeypatch.setenv("SERVICE_TRUSTED_KEYS", key.public.pem)
    return store


def test_an_endpoint_trusts_the_keys_that_its_deployment_trusts(
    aws: SageMaker, deploy: Segserve, signed: Store, segserve: Segserve, key: PrivateKey
) -> None:
    assert deploy("--name", "shop").returncode == 0
    assert segserve("update", "shop", "--instance-type", "ml.m5.2xlarge").returncode == 0

    assert signed.latest()
    models = aws.made("CreateModel")
    assert len(models) >= 1
    for model in models:
        assert model["PrimaryContainer"]["Environment"] == {"SERVICE_TRUSTED_KEYS": key.public.pem}


def test_what_is_not_signed_is_not_deployed(
    aws: SageMaker, deploy: Segserve, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TRUSTED_KEYS", key.public.pem)
    result = deploy("--name", "shop")

    assert result.returncode == 3
    assert "is not signed" in result.stderr
    assert aws.made("CreateModel") == []


def test_a_signature_goes_to_s3_and_back(
    aws: SageMaker, segserve: Segserve, signed: Store, key: PrivateKey, tmp_path: Path
) -> None:
    assert aws is not None
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    version = str(signed.latest())

    assert segserve("models", "push", PREFIX).returncode == 0
    assert segserve("models", "pull", PREFIX, "--store", str(tmp_path / "there")).returncode == 0
    found = read_artifact(Store(tmp_path / "there").resolve(version))
    assert signer_of(found, [key.public]) == key.public


def test_what_is_not_signed_is_neither_pushed_nor_pulled(
    aws: SageMaker, segserve: Segserve, key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws is not None
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    assert segserve("models", "push", PREFIX).returncode == 0
    monkeypatch.setenv("SERVICE_TRUSTED_KEYS", key.public.pem)
    pulled = segserve("models", "pull", PREFIX, "--store", str(tmp_path / "there"))
    pushed = segserve("models", "push", PREFIX)

    assert (pulled.returncode, pushed.returncode) == (3, 3)
    assert "is not signed" in pulled.stderr
    assert "is not signed" in pushed.stderr
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("breach", BREACHES)
def test_nothing_is_pulled_whose_signature_is_none(
    aws: SageMaker,
    segserve: Segserve,
    key: PrivateKey,
    artifact: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    breach: str,
) -> None:
    """Whoever may write to the bucket puts it where a version would be."""
    assert aws is not None
    make, reason = BREACHES[breach]
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    version = artifact.manifest.model_version
    s3.put_object(Bucket=BUCKET, Key=f"segserve/models/{version}/{ARCHIVE}", Body=make(artifact.files, key))
    monkeypatch.setenv("SERVICE_TRUSTED_KEYS", key.public.pem)
    pulled = segserve("models", "pull", PREFIX, "--store", str(tmp_path / "there"))

    assert pulled.returncode == 3
    assert reason in " ".join(pulled.stderr.split())
    assert "Traceback" not in pulled.stderr
    assert not Store(tmp_path / "there").versions()
