"""Hold what a request tells about who asks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DEFAULT_REGION: Final = "us-east-1"
_SCOPE: Final = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]{1,40})/")


@dataclass(frozen=True, slots=True)
class Caller:
    """Hold the region that a request was signed for; names belong to a region."""

    region: str


def read_caller(headers: Mapping[str, str], *, default_region: str) -> Caller:
    """Return who asks; the signature itself is not checked, as nothing here is secret."""
    scope = _SCOPE.search(headers.get("authorization", ""))
    return Caller(scope.group(1) if scope else default_region)
