"""Ship one model version to one endpoint: upload, model, configuration, endpoint, check, expiry."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from service.artifact import ARCHIVE, Artifact, read_artifact
from service.aws import expiry
from service.aws.artifacts import Location, RemoteStore, default_location
from service.aws.calls import ApiCall
from service.aws.deployer import DEPLOY_TIMEOUT_S, Deployer, Outcome
from service.aws.endpoint import Endpoint, Say
from service.aws.invocations import Request, invoke, invoke_async
from service.aws.names import EXPIRES_TAG
from service.aws.session import Session
from service.aws.smoke import CONTENT_TYPE, check_answer, smoke_of
from service.aws.unit import Unit, next_unit
from service.errors import ConfigurationError
from service.model import SegmentModel

_FILE: Final = "file"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Hold a verified artifact, and where SageMaker shall read it."""

    archive: Path
    artifact: Artifact
    store: RemoteStore | None
    """None where SageMaker is on this machine and reads the file itself."""

    @property
    def version(self) -> str:
        """Return the model version."""
        return self.artifact.manifest.model_version

    def url(self, *, is_multi_model: bool) -> str:
        """Return the ModelDataUrl: of the version, or of the folder of all versions."""
        if self.store is None:
            folder = self.archive.resolve().parent
            return f"{folder.parent.as_uri()}/" if is_multi_model else (folder / ARCHIVE).as_uri()
        location = self.store.location
        return f"{location.url()}/" if is_multi_model else location.url(self.version, ARCHIVE)


def model_source(session: Session, archive: Path, *, models: str | None) -> ModelSource:
    """Return an artifact with the place that it goes to.

    Args:
        session: Whose.
        archive: Path of a `model.tar.gz`.
        models: S3 prefix; None takes SageMaker's own bucket, or the file itself when SageMaker is here.

    Raises:
        ConfigurationError: The artifact is a folder.
        ArtifactError: It cannot be used.
    """
    artifact = read_artifact(archive)
    if not archive.is_file():
        raise ConfigurationError(
            f"{archive} is an unpacked model, and SageMaker takes a {ARCHIVE}: name that file"
        )
    if models is not None:
        return ModelSource(archive, artifact, RemoteStore(session, Location.parse(models)))
    if session.is_local("sagemaker") and not session.is_local("s3"):
        return ModelSource(archive, artifact, None)
    return ModelSource(archive, artifact, RemoteStore(session, default_location(session)))


@dataclass(frozen=True, slots=True)
class Release:
    """Hold all that one deployment needs; nothing is made yet."""

    unit: Unit
    source: ModelSource
    deployment: Mapping[str, Any] | None = None
    """DeploymentConfig of an update."""
    alarms: tuple[ApiCall, ...] = ()
    """Made before the update that they watch."""
    scheduler_role: str | None = None
    """Role with which EventBridge Scheduler deletes the endpoint when its time is over."""

    def plan(self, session: Session) -> list[ApiCall]:
        """Return the calls that `carry_out` would make now."""
        upload = []
        if self.source.store:
            if not self.source.store.is_there():
                upload += self.source.store.bucket_calls()
            upload.append(self.source.store.upload_call(self.source.version, self.source.archive))
        deployer = Deployer(session, self.unit.endpoint, say=_unheard)
        calls = [*upload, *self.alarms, *deployer.plan(self.unit, deployment=self.deployment)]
        if self.unit.expires and self.scheduler_role:
            calls.append(self._schedule_call(session))
        return calls

    def carry_out(self, session: Session, *, say: Say, timeout_s: float = DEPLOY_TIMEOUT_S) -> Outcome:
        """Do it; everything is taken back where a step fails.

        Raises:
            AwsError: A step failed.
        """
        deployer = Deployer(session, self.unit.endpoint, say=say, timeout_s=timeout_s)
        self._upload(deployer, say=say)
        for call in self.alarms:
            call.make(session)
        outcome = deployer.deploy(
            self.unit,
            check=check_of(session, self.unit, self.source.artifact.model),
            deployment=self.deployment,
        )
        if self.unit.expires:
            self._expire(session, outcome.described)
        return outcome

    def _upload(self, deployer: Deployer, *, say: Say) -> None:
        store = self.source.store
        if store is None:
            return
        if store.make_bucket():
            bucket = store.location.bucket
            say(f"         bucket {bucket}")
            # Not deleted: AWS takes hours until the name of a bucket that is gone can be used again.
            deployer.add_kept(
                f"the bucket {bucket}: it is empty, costs nothing, and serves the next deployment"
            )
        store.check_region()
        if store.add(self.source.version, self.source.archive):
            say(f"         model {store.location.url(self.source.version, ARCHIVE)}")
            deployer.add_undo(f"upload of {self.source.version}", lambda: store.remove(self.source.version))

    def _expire(self, session: Session, described: Mapping[str, Any]) -> None:
        """Write the expiry onto what was there before too, and make the appointment."""
        expires = self.unit.expires or ""
        config = Endpoint(session, self.unit.endpoint).config(described["EndpointConfigName"])
        for call in expiry.tag_calls([described["EndpointArn"], config["EndpointConfigArn"]], expires):
            call.make(session)
        if self.scheduler_role:
            expiry.schedule(session, self.unit.endpoint, expires, role=self.scheduler_role)

    def _schedule_call(self, session: Session) -> ApiCall:
        return expiry.schedule_call(
            self.unit.endpoint,
            self.unit.expires or "",
            role=self.scheduler_role or "",
            partition=session.partition,
        )


def updated_unit(
    session: Session,
    endpoint: str,
    source_of: Callable[[str | None], ModelSource],
    *,
    image: str | None,
    instance_type: str | None,
) -> tuple[Unit, ModelSource]:
    """Return the unit that shall serve next on an endpoint of ours, and its model.

    Args:
        session: Whose.
        endpoint: Its name.
        source_of: Returns the model for an S3 prefix; None where the endpoint reads a file of this machine.
        image: Another image, None for the same.
        instance_type: Another instance type, None for the same.
    """
    looked_at = Endpoint(session, endpoint)
    described = looked_at.require_ours()
    current = looked_at.unit(described["EndpointConfigName"])
    source = source_of(models_prefix(current))
    url = source.url(is_multi_model=is_multi_model(current))
    unit = next_unit(
        current, version=source.version, model_data=url, image=image, instance_type=instance_type
    )
    return replace(unit, expires=looked_at.tags(described).get(EXPIRES_TAG)), source


def models_prefix(unit: Unit) -> str | None:
    """Return the S3 prefix that a unit's model is below, None where it is a file of this machine."""
    url: str = unit.model["PrimaryContainer"]["ModelDataUrl"]
    if urlsplit(url).scheme == _FILE:
        return None
    return url.rstrip("/") if is_multi_model(unit) else url.removesuffix(f"/{unit.version}/{ARCHIVE}")


def is_multi_model(unit: Unit) -> bool:
    """Tell whether many models are behind one endpoint."""
    return bool(unit.model["PrimaryContainer"].get("Mode") == "MultiModel")


def check_of(session: Session, unit: Unit, model: SegmentModel) -> Callable[[], None]:
    """Return what raises unless the endpoint answers about the model's own centroids as the model does."""
    smoke = smoke_of(model)
    target = f"{unit.version}/{ARCHIVE}" if is_multi_model(unit) else None
    request = Request(smoke.body, CONTENT_TYPE, CONTENT_TYPE, target_model=target)

    def check() -> None:
        asynchronous = unit.config.get("AsyncInferenceConfig")
        if asynchronous:
            answer = invoke_async(session, unit.endpoint, request, config=asynchronous)
        else:
            answer = invoke(session, unit.endpoint, request)
        check_answer(smoke, answer.body, endpoint=unit.endpoint)

    return check


def check_of_served(session: Session, unit: Unit) -> Callable[[], None]:
    """Return the check of a unit that has served before; fetches its model from where SageMaker reads it."""
    url: str = unit.model["PrimaryContainer"]["ModelDataUrl"]
    if urlsplit(url).scheme == _FILE:
        path = Path(url2pathname(urlsplit(url).path))
        return check_of(
            session,
            unit,
            read_artifact(path / unit.version / ARCHIVE if is_multi_model(unit) else path).model,
        )
    store = RemoteStore(session, Location.parse(models_prefix(unit) or ""))
    with tempfile.TemporaryDirectory() as folder:
        return check_of(session, unit, read_artifact(store.fetch(unit.version, Path(folder))).model)


def expiry_of(ttl: str | None) -> str | None:
    """Return when a time to live that begins now is over, as the tag says it."""
    return None if ttl is None else expiry.expires_at(expiry.parse_ttl(ttl), now=datetime.now(UTC))


def _unheard(_: str) -> None:
    """Say nothing."""
