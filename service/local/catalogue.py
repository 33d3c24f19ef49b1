"""Create, describe, list and delete what only stands on record: models, endpoint configurations, tags."""

import asyncio
from typing import Any, Final

from service.local.caller import Caller
from service.local.faults import ApiError, not_emulated
from service.local.model_data import check_model_data, find_container
from service.local.pages import list_page
from service.local.plans import check_instances
from service.local.resources import Kind, Resource, Resources
from service.local.storage import Storage

MAX_TAGS: Final = 50
"""Source: SageMaker API reference, AddTags."""

Document = dict[str, Any]


class Catalogue:
    """Answer the operations that start nothing."""

    def __init__(self, resources: Resources, storage: Storage) -> None:
        """Keep records in `resources`; look for model data in `storage`."""
        self._resources = resources
        self._storage = storage

    async def create_model(self, caller: Caller, request: Document) -> Document:
        """Record a model whose data is there."""
        container = find_container(request)
        await asyncio.to_thread(check_model_data, container, self._storage)
        resource = self._resources.create(Kind.MODEL, region=caller.region, document=request)
        return resource.document

    async def create_endpoint_config(self, caller: Caller, request: Document) -> Document:
        """Record a configuration of models that are there."""
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        if len(set(names)) != len(names):
            raise ApiError(f"the variant names {', '.join(names)} are not all different")
        for variant in request["ProductionVariants"]:
            if not variant.get("ModelName"):
                raise not_emulated("a variant without ModelName", "CreateEndpointConfig")
            self._resources.get(Kind.MODEL, region=caller.region, name=variant["ModelName"])
            if not variant.get("ServerlessConfig") and not variant.get("InstanceType"):
                raise ApiError(
                    f"the variant {variant['VariantName']} needs an InstanceType or a ServerlessConfig"
                )
        check_instances(
            int(variant.get("InitialInstanceCount") or 1) for variant in request["ProductionVariants"]
        )
        resource = self._resources.create(Kind.ENDPOINT_CONFIG, region=caller.region, document=request)
        return resource.document

    async def describe(self, kind: Kind, caller: Caller, request: Document) -> Document:
        """Return what a request for a name of a kind describes."""
        return self._named(kind, caller, request).document

    async def list(self, kind: Kind, caller: Caller, request: Document) -> Document:
        """Return a page of a kind."""
        return list_page(kind, self._resources.of(kind, region=caller.region), request)

    async def delete(self, kind: Kind, caller: Caller, request: Document) -> Document:
        """Take a record away; endpoints in service keep what they were made from."""
        self._resources.remove(self._named(kind, caller, request))
        return {}

    async def add_tags(self, _caller: Caller, request: Document) -> Document:
        """Add tags, or give them other values."""
        resource = self._resources.by_arn(request["ResourceArn"])
        tags = resource.tags | {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        if len(tags) > MAX_TAGS:
            raise ApiError(f"a resource has at most {MAX_TAGS} tags; it would have {len(tags)}")
        resource.tags = tags
        self._resources.save(resource)
        return {"Tags": _tag_list(tags)}

    async def list_tags(self, _caller: Caller, request: Document) -> Document:
        """Return the tags, in one page: the smallest page that may be asked for holds all there can be."""
        return {"Tags": _tag_list(self._resources.by_arn(request["ResourceArn"]).tags)}

    async def delete_tags(self, _caller: Caller, request: Document) -> Document:
        """Take tags away; keys that are not there do not matter."""
        resource = self._resources.by_arn(request["ResourceArn"])
        resource.tags = {key: value for key, value in resource.tags.items() if key not in request["TagKeys"]}
        self._resources.save(resource)
        return {}

    def _named(self, kind: Kind, caller: Caller, request: Document) -> Resource:
        return self._resources.get(kind, region=caller.region, name=request[f"{kind.prefix}Name"])


def _tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
