"""Keep what was created, in memory and in a folder, so that it survives a restart."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from service.local.faults import ApiError

ACCOUNT: Final = "123456789012"
"""The account that everything belongs to; moto's as well."""


class Kind(Enum):
    """Name a kind of resource as its ARN does."""

    MODEL = "model"
    ENDPOINT_CONFIG = "endpoint-config"
    ENDPOINT = "endpoint"
    TRAINING_JOB = "training-job"
    TRANSFORM_JOB = "transform-job"

    @property
    def prefix(self) -> str:
        """Return what members of this kind begin with: `EndpointConfig` of EndpointConfigName."""
        return "".join(word.capitalize() for word in self.value.split("-"))

    @property
    def noun(self) -> str:
        """Return what AWS's messages call it."""
        return "endpoint configuration" if self is Kind.ENDPOINT_CONFIG else self.value.replace("-", " ")

    @property
    def is_job(self) -> bool:
        """Tell whether it is a job, whose errors AWS words in its own way."""
        return self in {Kind.TRAINING_JOB, Kind.TRANSFORM_JOB}


@dataclass(slots=True)
class Resource:
    """Hold one resource as the API describes it."""

    kind: Kind
    region: str
    name: str
    document: dict[str, Any]
    """What a description shows."""
    tags: dict[str, str] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    """What it takes to bring it up again; never shown."""
    uid: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """Tells it from another one of the same name that was there before."""

    @property
    def arn(self) -> str:
        """Return the ARN, with the name in lower case as AWS has it."""
        return arn(self.kind, region=self.region, name=self.name)

    @property
    def status(self) -> str:
        """Return the status of an endpoint or a job."""
        return str(self.document.get(f"{self.kind.prefix}Status"))


def arn(kind: Kind, *, region: str, name: str) -> str:
    """Return what the ARN of a resource is, or would be."""
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind.value}/{name.lower()}"


class Resources:
    """Hold all resources; each is a file of its own, replaced as a whole."""

    def __init__(self, root: Path) -> None:
        """Read what a folder holds.

        Raises:
            ValueError: A file of the folder is not one that this class has written.
        """
        self._root = root
        self._found: dict[str, Resource] = {}
        for path in sorted(root.glob("*/*/*.json")):
            content = json.loads(path.read_bytes())
            resource = Resource(**{**content, "kind": Kind(content["kind"])})
            self._found[resource.arn] = resource

    def __iter__(self) -> Iterator[Resource]:
        """Yield every resource."""
        return iter(list(self._found.values()))

    def of(self, kind: Kind, *, region: str) -> list[Resource]:
        """Return the resources of a kind in a region."""
        return [item for item in self._found.values() if item.kind is kind and item.region == region]

    def get(self, kind: Kind, *, region: str, name: str) -> Resource:
        """Return a resource.

        Raises:
            ApiError: There is none of that name.
        """
        wanted = arn(kind, region=region, name=name)
        found = self._found.get(wanted)
        if found is not None:
            return found
        if kind.is_job:
            raise ApiError(f"Requested resource not found: {wanted}", code="ResourceNotFound")
        raise ApiError(f'Could not find {kind.noun} "{wanted}".')

    def by_arn(self, resource_arn: str) -> Resource:
        """Return the resource that tags belong to."""
        found = self._found.get(resource_arn.lower())
        if found is None:
            raise ApiError(f'Could not find resource "{resource_arn}".')
        return found

    def create(self, kind: Kind, *, region: str, document: dict[str, Any]) -> Resource:
        """Add a resource from the request that asks for it.

        Raises:
            ApiError: The name is taken; case does not tell names apart.
        """
        name = document[f"{kind.prefix}Name"]
        wanted = arn(kind, region=region, name=name)
        if wanted in self._found:
            if kind.is_job:
                raise ApiError(
                    f"Job name must be unique within an AWS account and region, and a {kind.noun} with this "
                    f"name already exists ({wanted})",
                    code="ResourceInUse",
                )
            raise ApiError(f'Cannot create already existing {kind.noun} "{wanted}".')
        described = {key: value for key, value in document.items() if key != "Tags"}
        described |= {f"{kind.prefix}Arn": wanted, "CreationTime": time.time()}
        tags = {tag["Key"]: tag["Value"] for tag in document.get("Tags", [])}
        resource = Resource(kind, region, name, described, tags)
        self._found[wanted] = resource
        self.save(resource)
        return resource

    def is_current(self, resource: Resource) -> bool:
        """Tell whether a resource is still the one of its name."""
        return self._found.get(resource.arn) is resource

    def touch(self, resource: Resource, **members: Any) -> None:
        """Change members of a description; None takes one out."""
        resource.document |= {**members, "LastModifiedTime": time.time()}
        for name in [name for name, value in members.items() if value is None]:
            del resource.document[name]
        self.save(resource)

    def save(self, resource: Resource) -> None:
        """Write a resource as it is now; not one that has been removed meanwhile."""
        if not self.is_current(resource):
            return
        path = self._path(resource)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{uuid.uuid4().hex}.new")
        temporary.write_text(json.dumps({**asdict(resource), "kind": resource.kind.value}))
        temporary.replace(path)

    def remove(self, resource: Resource) -> None:
        """Take a resource away."""
        if self.is_current(resource):
            del self._found[resource.arn]
            self._path(resource).unlink(missing_ok=True)

    def _path(self, resource: Resource) -> Path:
        return self._root / resource.region / resource.kind.value / f"{resource.name.lower()}.json"
