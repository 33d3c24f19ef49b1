"""Keep model versions below an S3 prefix, in the layout of the store: `PREFIX/<version>/model.tar.gz`."""

import base64
import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from service.artifact import ARCHIVE, VERSION_PATTERN
from service.aws.calls import ApiCall
from service.aws.downloads import download
from service.aws.refusals import unless_missing
from service.aws.session import Session
from service.errors import AwsError, ConfigurationError, ModelNotFoundError, StoreError

_LOCATION: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?")
_ALREADY_THERE: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


@dataclass(frozen=True, slots=True)
class Location:
    """Hold a bucket and the prefix below it, which ends in no slash."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `s3://BUCKET/PREFIX`.

        Raises:
            ConfigurationError: It is not one.
        """
        match = _LOCATION.fullmatch(url)
        if not match:
            raise ConfigurationError(f"{url[:120]!r} is not an S3 location: it should be s3://BUCKET/PREFIX")
        return cls(match["bucket"], (match["prefix"] or "").strip("/"))

    def key(self, *names: str) -> str:
        """Return the key of an object below the prefix."""
        return "/".join(name for name in (self.prefix, *names) if name)

    def url(self, *names: str) -> str:
        """Return the URL of an object below the prefix, or of the prefix itself."""
        return f"s3://{self.bucket}/{self.key(*names)}"


def default_location(session: Session) -> Location:
    """Return where models go by default: SageMaker's own bucket, which its usual role may read."""
    return Location(f"sagemaker-{session.region}-{session.account}", "segserve/models")


class RemoteStore:
    """Add, list and fetch model versions below one S3 prefix."""

    def __init__(self, session: Session, location: Location) -> None:
        """Name where it is; nothing is looked up yet."""
        self.session = session
        self.location = location

    def versions(self) -> list[str]:
        """Return the ids of all versions, newest first."""
        prefix = f"{self.location.prefix}/" if self.location.prefix else ""
        objects = self.session.pages(
            "s3",
            "list_objects_v2",
            "CommonPrefixes",
            Bucket=self.location.bucket,
            Prefix=prefix,
            Delimiter="/",
        )
        names = [item["Prefix"].removesuffix("/").rsplit("/", 1)[-1] for item in objects]
        return sorted((name for name in names if VERSION_PATTERN.fullmatch(name)), reverse=True)

    def upload_call(self, version: str, archive: Path) -> ApiCall:
        """Return the call that writes a version, once and never again; its Body is still the path."""
        checksum = base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()
        parameters = {
            "Bucket": self.location.bucket,
            "Key": self.location.key(version, ARCHIVE),
            "Body": archive,
            "ContentType": "application/gzip",
            "ChecksumSHA256": checksum,
            "IfNoneMatch": "*",
        }
        return ApiCall("s3", "put_object", parameters)

    def add(self, version: str, archive: Path) -> bool:
        """Write a version and return whether it was not there before."""
        call = self.upload_call(version, archive)
        try:
            self.session.call("s3", "put_object", **{**call.parameters, "Body": archive.read_bytes()})
        except AwsError as exc:
            if exc.code in _ALREADY_THERE:
                self._check_same(version, checksum=call.parameters["ChecksumSHA256"])
                return False
            if exc.code == "NoSuchBucket":
                bucket, region = self.location.bucket, self.session.region
                raise AwsError(
                    f"{exc}: make it, e.g. with 'aws s3 mb s3://{bucket} --region {region}'",
                    code=exc.code,
                    is_missing=True,
                ) from None
            raise
        return True

    def _check_same(self, version: str, *, checksum: str) -> None:
        """Raise unless what is there has the checksum, where S3 knows it."""
        key = self.location.key(version, ARCHIVE)
        answer = self.session.call(
            "s3", "head_object", Bucket=self.location.bucket, Key=key, ChecksumMode="ENABLED"
        )
        if answer.get("ChecksumSHA256", checksum) != checksum:
            raise AwsError(
                f"{self.location.url(version, ARCHIVE)} is there already, with another content than the "
                "version of this name here: it was not written by segserve, or not from this store"
            )

    def put(self, name: str, content: bytes) -> str:
        """Write a JSON document below the prefix and return its URL."""
        self.session.call(
            "s3",
            "put_object",
            Bucket=self.location.bucket,
            Key=self.location.key(name),
            Body=content,
            ContentType="application/json",
        )
        return self.location.url(name)

    def remove(self, version: str) -> None:
        """Delete a version."""
        key = self.location.key(version, ARCHIVE)
        self.session.call("s3", "delete_object", Bucket=self.location.bucket, Key=key)

    def resolve(self, version: str | None) -> str:
        """Return a version that is there; None and `latest` stand for the newest.

        Raises:
            ModelNotFoundError: It is not there.
        """
        versions = self.versions()
        if not versions:
            raise ModelNotFoundError(
                f"there is no model in {self.location.url()} yet: 'segserve models push' puts one there"
            )
        if version in {None, "latest"}:
            return versions[0]
        if version not in versions:
            known = ", ".join(versions[:3]) + (", ..." if len(versions) > 3 else "")
            raise ModelNotFoundError(
                f"{self.location.url()} does not hold the model {str(version)[:80]!r}; it holds {known}"
            )
        return str(version)

    def fetch(self, version: str, folder: Path) -> Path:
        """Download a version's archive into a folder and return its path; whoever reads it verifies it.

        Raises:
            AwsError: S3 refuses, or does not get it across.
            StoreError: The folder cannot be written.
        """
        try:
            with tempfile.NamedTemporaryFile(dir=folder, suffix=f"-{ARCHIVE}", delete=False) as file:
                download(self.session, self.location.bucket, self.location.key(version, ARCHIVE), file)
        except OSError as exc:
            raise StoreError(f"{folder} cannot be written: {exc.strerror}") from exc
        return Path(file.name)

    def facts(self, version: str) -> dict[str, Any]:
        """Return size and time of a version."""
        answer = self.session.call(
            "s3", "head_object", Bucket=self.location.bucket, Key=self.location.key(version, ARCHIVE)
        )
        return {"size": answer["ContentLength"], "written": answer["LastModified"].isoformat()}

    def is_there(self) -> bool:
        """Tell whether the bucket is there."""
        found = unless_missing(
            self.session.call, service="s3", operation="head_bucket", Bucket=self.location.bucket
        )
        return found is not None

    def bucket_calls(self) -> list[ApiCall]:
        """Return the calls that make the bucket, closed to the public."""
        bucket, region = self.location.bucket, self.session.region
        create: dict[str, Any] = {"Bucket": bucket}
        if region != "us-east-1":
            create["CreateBucketConfiguration"] = {"LocationConstraint": region}
        blocked = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        return [
            ApiCall("s3", "create_bucket", create),
            ApiCall(
                "s3",
                "put_public_access_block",
                {"Bucket": bucket, "PublicAccessBlockConfiguration": blocked},
            ),
        ]

    def make_bucket(self) -> bool:
        """Make the bucket where it is missing; tell whether it was made."""
        if self.is_there():
            return False
        for call in self.bucket_calls():
            call.make(self.session)
        return True

    def check_region(self) -> None:
        """Raise unless the bucket is in the session's region, as SageMaker demands of model data.

        Raises:
            ConfigurationError: It is in another region.
        """
        answer = self.session.call("s3", "head_bucket", Bucket=self.location.bucket)
        region = answer.get("BucketRegion") or self.session.region
        if region != self.session.region:
            raise ConfigurationError(
                f"the bucket {self.location.bucket} is in {region}, and SageMaker in {self.session.region} "
                "reads only its own "
                f"region's: give --region {region}, or --models s3://ANOTHER-BUCKET/PREFIX"
            )
