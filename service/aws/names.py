"""Name what we make on AWS so that it can be traced, found again and told from what is not ours."""

import hashlib
import re
from typing import Final

from service.artifact import VERSION_PATTERN
from service.errors import ConfigurationError

MANAGED_BY_TAG: Final = "managed-by"
MANAGED_BY: Final = "segserve"
ENDPOINT_TAG: Final = "segserve:endpoint"
VERSION_TAG: Final = "segserve:version"
EXPIRES_TAG: Final = "segserve:expires"
"""ISO 8601, UTC: from then on `segserve delete --expired` clears the endpoint."""
HISTORY_TAG: Final = "segserve:history"
"""Endpoint configurations that served before, the latest last; spaces between them."""

ALARM_PREFIX: Final = "segserve-"
SCHEDULE_PREFIX: Final = "segserve-expire-"
VARIANT: Final = "AllTraffic"

UNIT_PATTERN: Final = re.compile(rf"[A-Za-z0-9-]+-{VERSION_PATTERN.pattern}-[0-9a-f]{{8}}")
"""Models and endpoint configurations that may be ours; their tags tell for sure."""

_ENDPOINT: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
"""Source: API_CreateEndpoint."""
_PREFIX_CHARACTERS: Final = 27
_MAX_TAG_VALUE: Final = 256
_MAX_TAGS: Final = 50
_TAG_KEY: Final = re.compile(r"(?!aws:)[\w\s.:/=+@-]{1,128}")
_TAG_VALUE: Final = re.compile(r"[\w\s.:/=+@-]{0,256}")


def check_endpoint_name(name: str) -> str:
    """Return the name of an endpoint.

    Raises:
        ConfigurationError: SageMaker does not take it.
    """
    if not _ENDPOINT.fullmatch(name):
        raise ConfigurationError(
            f"the endpoint name {name[:80]!r} is not accepted: letters, digits and hyphens, at most 63, "
            "a letter or digit first and last"
        )
    return name


def unit_prefix(endpoint: str) -> str:
    """Return how the names of an endpoint's models and configurations begin."""
    return f"{endpoint[:_PREFIX_CHARACTERS].rstrip('-')}-"


def unit_name(endpoint: str, version: str, *, key: str) -> str:
    """Return a name of at most 63 characters: the same for the same endpoint, model version and settings."""
    return f"{unit_prefix(endpoint)}{version}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def alarm_names(endpoint: str) -> tuple[str, str]:
    """Return the names of the alarms that stop a bad update: of errors, of latency."""
    return f"{ALARM_PREFIX}{endpoint}-errors", f"{ALARM_PREFIX}{endpoint}-latency"


def schedule_name(endpoint: str) -> str:
    """Return the name of the one-shot call that deletes an endpoint; Scheduler takes 64 characters."""
    name = f"{SCHEDULE_PREFIX}{endpoint}"
    if len(name) <= 64:
        return name
    return f"{name[:55]}-{hashlib.sha256(endpoint.encode()).hexdigest()[:8]}"


def parse_tags(words: list[str]) -> dict[str, str]:
    """Return the tags of KEY=VALUE words.

    Raises:
        ConfigurationError: One is not KEY=VALUE, or not as AWS takes it, or there are too many.
    """
    tags = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"--tag {word[:80]!r} is not accepted: it should be KEY=VALUE, of letters, digits and .:/=+-@"
            )
        if key == MANAGED_BY_TAG or key.startswith("segserve:"):
            raise ConfigurationError(f"--tag {key}= is not accepted: segserve writes that tag itself")
        tags[key] = value
    if len(tags) > _MAX_TAGS - 6:
        raise ConfigurationError(
            f"{len(tags)} tags are too many: AWS takes {_MAX_TAGS}, and 6 are segserve's"
        )
    return tags


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags in the form that AWS takes."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def tag_dict(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return tags from the form that AWS gives."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def join_history(configs: list[str]) -> str:
    """Return as much of a history as a tag holds, the latest last."""
    while len(text := " ".join(configs)) > _MAX_TAG_VALUE:
        configs = configs[1:]
    return text
