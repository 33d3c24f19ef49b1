"""Push: any image becomes a schema 2 image for amd64 in ECR, under a tag of its own, or is refused."""

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from service.aws import images
from service.errors import ConfigurationError
from tests.aws.conftest import Segserve
from tests.aws.sagemaker import ACCOUNT, REGION, SageMaker
from tests.conftest import do_without, wait_until

OCI = "application/vnd.oci.image"
TOKEN = f"{ACCOUNT}-auth-token"
"""What moto hands out as ECR's password."""
HASHED = "$2y$04$zNy./2L8oBBoh3OlTEQEtOMwo4XgZjVxjT9V9knMtTHEpQ8heeLLG"
"""TOKEN by bcrypt, which is all that docker-registry reads."""


def layer_tar(content: bytes = b"hello") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("app/hello")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def config_of(tar: bytes, *, architecture: str = "amd64", labels: dict[str, str] | None = None) -> bytes:
    document = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["serve"], "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
    }
    return json.dumps(document).encode()


def write_layout(
    folder: Path,
    *,
    architecture: str = "amd64",
    layer_type: str = f"{OCI}.layer.v1.tar+gzip",
    content: bytes = b"hello",
    labels: dict[str, str] | None = None,
) -> Path:
    """Write an OCI layout as buildx does: an index of an image and its attestation."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def manifest(config: dict[str, Any], layers: list[dict[str, Any]]) -> bytes:
        return json.dumps(
            {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": layers}
        ).encode()

    tar = layer_tar(content)
    layer = blob(gzip.compress(tar, mtime=0) if layer_type.endswith("gzip") else tar, layer_type)
    config = blob(config_of(tar, architecture=architecture, labels=labels), f"{OCI}.config.v1+json")
    image = blob(
        manifest(config, [layer]),
        f"{OCI}.manifest.v1+json",
        platform={"architecture": architecture, "os": "linux"},
    )
    attestation = blob(
        manifest(blob(b"{}", f"{OCI}.config.v1+json"), [blob(b"{}", "application/vnd.in-toto+json")]),
        f"{OCI}.manifest.v1+json",
        platform={"architecture": "unknown", "os": "unknown"},
        annotations={"vnd.docker.reference.type": "attestation-manifest"},
    )
    index = blob(
        json.dumps({"schemaVersion": 2, "manifests": [image, attestation]}).encode(), f"{OCI}.index.v1+json"
    )
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    return folder


def write_saved(path: Path, *, architecture: str = "amd64") -> Path:
    """Write what `docker save` of an old engine writes."""
    tar = layer_tar()
    files = {
        "config.json": config_of(tar, architecture=architecture),
        "layer/layer.tar": tar,
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["layer/layer.tar"]}]
        ).encode(),
    }
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(name="registry", scope="session")
def _registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Debian's docker-registry on loopback, with ECR's kind of password."""
    program = shutil.which("docker-registry")
    if program is None:
        do_without("docker-registry is not installed (apt-get install docker-registry)")
    folder = tmp_path_factory.mktemp("registry")
    (folder / "htpasswd").write_text(f"AWS:{HASHED}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\nauth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/v2/").status_code == 401
        except httpx.TransportError:
            return False

    wait_until(answers, what="the registry")
    yield url
    process.terminate()
    process.wait(30)


def pulled(registry: str, repository: str, reference: str) -> httpx.Response:
    headers = {"Accept": images.DOCKER_MANIFEST}
    return httpx.get(
        f"{registry}/v2/{repository}/manifests/{reference}", auth=("AWS", TOKEN), headers=headers
    )


@pytest.mark.parametrize("form", ["layout", "oci archive", "docker save", "plain layers"])
def test_push_sends_every_form_of_an_image_as_schema_2(
    aws: SageMaker, segserve: Segserve, registry: str, tmp_path: Path, form: str
) -> None:
    repository = f"segserve/{form.replace(' ', '-')}"
    if form == "docker save":
        source = write_saved(tmp_path / "image.tar")
    else:
        suffix = "" if form == "plain layers" else "+gzip"
        source = write_layout(tmp_path / "layout", layer_type=f"{OCI}.layer.v1.tar{suffix}")
    if form == "oci archive":
        with tarfile.open(tmp_path / "oci.tar", "w") as archive:
            archive.add(source, arcname=".")
        source = tmp_path / "oci.tar"
    result = segserve(
        "push", str(source), "--repository", repository, "--tag", "one", "--registry-url", registry
    )
    answer = pulled(registry, repository, "one")
    manifest = answer.json()

    assert result.returncode == 0, result.stderr
    assert answer.headers["Content-Type"] == images.DOCKER_MANIFEST
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    assert result.stdout == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{repository}@{digest}\n"
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip"
    blob = httpx.get(f"{registry}/v2/{repository}/blobs/{layer['digest']}", auth=("AWS", TOKEN)).content
    assert gzip.decompress(blob) == layer_tar()
    assert TOKEN not in result.stdout + result.stderr
    assert aws.calls == []


def test_push_makes_a_repository_of_immutable_tags_once(
    aws: SageMaker, segserve: Segserve, registry: str, tmp_path: Path
) -> None:
    source = write_layout(tmp_path / "layout")
    first = segserve("push", str(source), "--repository", "segserve/made", "--registry-url", registry)
    second = segserve("push", str(source), "--repository", "segserve/made", "--registry-url", registry)
    (repository,) = boto3.client("ecr").describe_repositories()["repositories"]

    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert first.stdout == second.stdout
    assert "made the repository" in first.stderr
    assert "already there" in second.stderr
    assert aws.calls == []


def test_push_tags_with_the_version_and_revision_of_the_labels(
    segserve: Segserve, aws: SageMaker, registry: str, tmp_path: Path
) -> None:
    labels = {"org.opencontainers.image.version": "1.2.3", "org.opencontainers.image.revision": "f" * 40}
    source = write_layout(tmp_path / "layout", labels=labels)
    document = segserve("push", str(source), "--registry-url", registry, "--json").document

    assert document["tag"] == f"1.2.3-{'f' * 12}"
    assert aws.calls == []


def test_a_tag_that_holds_another_image_is_not_moved(
    segserve: Segserve, aws: SageMaker, image: str, tmp_path: Path
) -> None:
    source = write_layout(tmp_path / "layout")
    result = segserve("push", str(source), "--tag", "1", "--registry-url", "http://127.0.0.1:9")

    assert image.endswith(":1")
    assert result.returncode == 2
    assert result.stderr == (
        "Error: the tag '1' of segserve holds another image, and tags are immutable: give another --tag\n"
    )
    assert aws.calls == []


def test_an_image_that_ecr_holds_already_is_not_sent_again(
    segserve: Segserve, aws: SageMaker, tmp_path: Path
) -> None:
    source = write_layout(tmp_path / "layout")
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="segserve")
    with images.opened(str(source)) as opened:
        ecr.put_image(
            repositoryName="segserve",
            imageManifest=opened.manifest.decode(),
            imageManifestMediaType=images.DOCKER_MANIFEST,
            imageDigest=opened.digest,
            imageTag="1",
        )
        digest = opened.digest
    result = segserve("push", str(source), "--tag", "1", "--registry-url", "http://127.0.0.1:9")

    assert result.stdout == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/segserve@{digest}\n"
    assert aws.calls == []


@pytest.mark.parametrize("form", ["layout", "saved"])
def test_an_arm_image_is_refused(segserve: Segserve, aws: SageMaker, tmp_path: Path, form: str) -> None:
    if form == "layout":
        source = write_layout(tmp_path / "layout", architecture="arm64")
    else:
        source = write_saved(tmp_path / "image.tar", architecture="arm64")
    result = segserve("push", str(source))

    assert result.returncode == 2
    assert "the image is for linux/arm64, and SageMaker's machines are linux/amd64" in result.stderr
    assert boto3.client("ecr").describe_repositories()["repositories"] == []
    assert aws.calls == []


def test_a_layer_without_a_schema_2_form_is_refused(tmp_path: Path) -> None:
    source = write_layout(tmp_path / "layout", layer_type=f"{OCI}.layer.v1.tar+zstd")

    with pytest.raises(ConfigurationError, match="compression=gzip"), images.opened(str(source)):
        pass


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "image.tar",
            b"not a tar",
            r"is not an archive of an image \(it is no tar archive\): give what .* writes$",
        ),
        ("image.tar", layer_tar(), "holds no image: neither index.json nor manifest.json is in it"),
    ],
)
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigurationError, match=message), images.opened(str(tmp_path / name)):
        pass


def test_an_index_that_points_outside_is_refused(tmp_path: Path) -> None:
    source = write_layout(tmp_path / "layout")
    node = {"config": {"digest": "../../../../etc:passwd"}, "layers": []}
    (source / "index.json").write_text(json.dumps(node))

    with pytest.raises(ConfigurationError, match="outside itself"), images.opened(str(source)):
        pass


def test_without_an_engine_the_other_ways_are_named(
    segserve: Segserve, aws: SageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    result = segserve("push", "segserve:latest")

    assert result.returncode == 2
    assert "no Docker engine answers" in result.stderr
    assert "docker buildx build --output type=oci" in result.stderr
    assert aws.calls == []


def test_a_wrong_password_is_told_without_being_shown(
    segserve: Segserve,
    aws: SageMaker,
    tmp_path: Path,
    registry: str,
    monkeypatch: pytest.MonkeyPatch,
    moto_url: str,
) -> None:
    """Another account's token is another password."""
    monkeypatch.setenv(
        "AWS_ACCESS_KEY_ID",
        boto3.client("sts").assume_role(
            RoleArn="arn:aws:iam::210987654321:role/x", RoleSessionName="another"
        )["Credentials"]["AccessKeyId"],
    )
    result = segserve("push", str(write_layout(tmp_path / "layout")), "--registry-url", registry)

    assert moto_url
    assert result.returncode == 1
    assert "does not let these credentials push (401)" in result.stderr
    assert "auth-token" not in result.stderr
    assert aws.calls == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://registry.invalid", "registry.invalid cannot be reached: its name cannot be resolved;"),
        ("http://127.0.0.1:9", "127.0.0.1:9 cannot be reached: nobody answers there;"),
    ],
)
def test_a_registry_that_does_not_answer_is_one_sentence(
    segserve: Segserve,
    aws: SageMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    url: str,
    message: str,
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    result = segserve("push", str(write_layout(tmp_path / "layout")), "--registry-url", url)
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]

    assert result.returncode == 1
    assert errors == [f"Error: the registry {message} check the network and try again"]
    assert [record.name for record in caplog.records if record.name.startswith("urllib3")] == []
    assert aws.calls == []


def test_a_password_goes_over_no_open_wire(segserve: Segserve, aws: SageMaker, tmp_path: Path) -> None:
    result = segserve(
        "push", str(write_layout(tmp_path / "layout")), "--registry-url", "http://registry.example"
    )

    assert result.returncode == 2
    assert "it should begin with https://" in result.stderr
    assert aws.calls == []


@pytest.mark.docker
def test_push_takes_an_image_of_the_engine(segserve: Segserve, aws: SageMaker, registry: str) -> None:
    if not os.environ.get("DOCKER_HOST") or not os.environ.get("SEGSERVE_IMAGE"):
        pytest.skip("SEGSERVE_IMAGE and DOCKER_HOST name no image to push")
    name = os.environ["SEGSERVE_IMAGE"]
    result = segserve(
        "push", name, "--repository", "segserve/engine", "--tag", "it", "--registry-url", registry
    )

    assert result.returncode == 0, result.stderr
    assert pulled(registry, "segserve/engine", "it").headers["Content-Type"] == images.DOCKER_MANIFEST
    assert aws.calls == []
