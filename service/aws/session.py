"""Hold one connection to AWS: its region, its account, and a client for each service when needed."""

from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from service import __version__
from service.aws.refusals import explained
from service.contract import INVOCATION_TIMEOUT_S
from service.errors import ConfigurationError

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_NO_ACCOUNT: Final = "000000000000"
"""Of a SageMaker on this machine."""
_TIMEOUT_S: Final = 10
_RETRIES: Final = 5

_CONTROL: Final = Config(
    connect_timeout=_TIMEOUT_S,
    retries={"max_attempts": _RETRIES, "mode": "standard"},
    user_agent_extra=f"segserve/{__version__}",
)

_RUNTIME: Final = Config(
    connect_timeout=_TIMEOUT_S,
    # botocore repeats a read that timed out, and its own limit is SageMaker's: the model would run twice.
    read_timeout=INVOCATION_TIMEOUT_S + _TIMEOUT_S,
    retries={"max_attempts": 0},
    user_agent_extra=f"segserve/{__version__}",
)


class Session:
    """Make clients, all of one region and one account."""

    def __init__(self, *, region: str | None = None, profile: str | None = None) -> None:
        """Read region and credentials as every AWS tool does; both arguments win over the environment.

        Raises:
            ConfigurationError: There is no such profile, or no region at all.
        """
        try:
            self._session = boto3.Session(region_name=region, profile_name=profile)
        except BotoCoreError as exc:
            raise ConfigurationError(f"the AWS configuration cannot be used: {exc}") from None
        if not self._session.region_name:
            raise ConfigurationError(
                "no AWS region is set: give --region eu-west-1, or set AWS_DEFAULT_REGION, or run 'aws "
                "configure'"
            )
        self._clients: dict[str, Any] = {}

    @property
    def region(self) -> str:
        """Return the region of every client."""
        return str(self._session.region_name)

    @property
    def poll_s(self) -> float:
        """Return the pause between two looks: SageMaker on this machine takes seconds, not minutes."""
        return 0.2 if self.is_local("sagemaker") else 10.0

    def client(self, service: str) -> Any:
        """Return the client of a service.

        Raises:
            ConfigurationError: The region or an AWS_ENDPOINT_URL variable is not one.
        """
        if service not in self._clients:
            config = _RUNTIME if service == "sagemaker-runtime" else _CONTROL
            try:
                self._clients[service] = self._session.client(service, config=config)
            except (BotoCoreError, ValueError) as exc:
                raise ConfigurationError(f"AWS cannot be reached as configured: {exc}") from None
        return self._clients[service]

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return AWS's answer to one call.

        Raises:
            AwsError: AWS refuses it; says why and what to do next.
            ConfigurationError: There are no credentials, or none that AWS takes.
        """
        with explained(service, operation, region=self.region):
            answer: dict[str, Any] = getattr(self.client(service), operation)(**parameters)
        return answer

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the items of every page of a listing."""
        paginator = self.client(service).get_paginator(operation)
        with explained(service, operation, region=self.region):
            return [item for page in paginator.paginate(**parameters) for item in page.get(key, ())]

    def is_local(self, service: str) -> bool:
        """Tell whether AWS_ENDPOINT_URL sends a service to this machine."""
        return urlsplit(self.client(service).meta.endpoint_url).hostname in _LOOPBACK

    def has(self, service: str) -> bool:
        """Tell whether a service is on the same side as SageMaker.

        A SageMaker on this machine (`segserve local`) has no alarms and no scaling, and a call about them
        must not end in somebody's real account.
        """
        return self.is_local(service) or not self.is_local("sagemaker")

    @cached_property
    def account(self) -> str:
        """Return the account's twelve digits.

        Raises:
            ConfigurationError: There are no credentials, or none that AWS takes.
        """
        if not self.has("sts"):
            return _NO_ACCOUNT
        return str(self.call("sts", "get_caller_identity")["Account"])

    def require(self, service: str, *, option: str) -> None:
        """Raise unless a service is on the same side as SageMaker.

        Raises:
            ConfigurationError: It is not, so the option cannot be had.
        """
        if not self.has(service):
            raise ConfigurationError(
                f"{option} is not to be had of a SageMaker on this machine: there is no {service} here"
            )

    @property
    def partition(self) -> str:
        """Return the first word of an ARN after `arn:`, which is another one in China and for governments."""
        return str(self._session.get_partition_for_region(self.region))
