"""Hold calls of the AWS API before they are made, so that what --dry-run prints is what is called."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.aws.session import Session


@dataclass(frozen=True, slots=True)
class ApiCall:
    """Hold one call."""

    service: str
    """As boto3 names it: sagemaker, s3, application-autoscaling."""
    operation: str
    """As boto3 names it: create_model."""
    parameters: Mapping[str, Any]

    def make(self, session: Session) -> dict[str, Any]:
        """Call AWS and return its answer."""
        return session.call(self.service, self.operation, **self.parameters)

    def as_dict(self) -> dict[str, Any]:
        """Return it for a program."""
        parameters = json.loads(json.dumps(self.parameters, default=str))
        return {"service": self.service, "operation": self.operation, "parameters": parameters}

    def __str__(self) -> str:
        """Return it for a person: the boto3 operation and its parameters as JSON."""
        return f"{self.service} {self.operation} {json.dumps(self.parameters, indent=2, default=str)}"
