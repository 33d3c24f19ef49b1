"""Look at one endpoint and wait for it, with what its container said when it fails."""

import re
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from service.aws.names import ENDPOINT_TAG, HISTORY_TAG, MANAGED_BY, MANAGED_BY_TAG, tag_dict, tag_list
from service.aws.refusals import unless_missing
from service.aws.session import Session
from service.aws.unit import Unit, described_unit
from service.errors import AwsError

Say = Callable[[str], None]
"""Takes a line of progress."""

BUSY: Final = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
_BROKEN: Final = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
_LOG_LINES: Final = 15
_LOG_PATH: Final = re.compile(r"check the logs for this endpoint: (?P<path>/.+\.log)$")
"""How `segserve local` names the log of a container that did not come up."""
_LOG_STREAMS: Final = 2
_LOOKS: Final = 2
"""How often an endpoint must be seen back at its old configuration before that is believed."""

_HINTS: Final = (
    (
        "ping health check",
        "the container did not answer GET /ping; try it here: docker run -p 8080:8080 IMAGE serve",
    ),
    ("exec format", "the image is not for amd64: build it with --platform linux/amd64"),
    ("manifest media type", "'segserve push' makes an image that SageMaker takes"),
    ("model data", "the role must be allowed s3:GetObject on the model's bucket"),
    ("image", "the role must be allowed to pull the image from ECR"),
)


class EndpointFailedError(AwsError):
    """Raised when an endpoint, or an update of it, fails; holds the end of the container's log."""

    def __init__(self, message: str, *, log: list[str], no_log: str) -> None:
        """Keep the last lines that the container logged; `no_log` is said where there are none."""
        tail = "".join(f"\n  | {line}" for line in log)
        super().__init__(f"{message}\n{f'The end of its log:{tail}' if log else no_log}")
        self.log = log


class Endpoint:
    """Describe, wait for and tag one endpoint."""

    def __init__(self, session: Session, name: str, *, say: Say = lambda _: None) -> None:
        """Name it; nothing is looked up yet."""
        self.session = session
        self.name = name
        self._say = say

    def describe(self) -> dict[str, Any] | None:
        """Return what SageMaker says of it, None where it is not there."""
        return unless_missing(
            self.session.call, service="sagemaker", operation="describe_endpoint", EndpointName=self.name
        )

    def require(self) -> dict[str, Any]:
        """Return what SageMaker says of it.

        Raises:
            AwsError: It is not there.
        """
        described = self.describe()
        if described is None:
            raise AwsError(
                f"there is no endpoint {self.name!r} in {self.session.region}: 'segserve status' lists "
                "those there are",
                is_missing=True,
            )
        return described

    def tags(self, described: dict[str, Any]) -> dict[str, str]:
        """Return its tags."""
        return tag_dict(
            self.session.pages("sagemaker", "list_tags", "Tags", ResourceArn=described["EndpointArn"])
        )

    def require_ours(self) -> dict[str, Any]:
        """Return what SageMaker says of it.

        Raises:
            AwsError: It is not there, or somebody else's.
        """
        described = self.require()
        if not is_ours(self.tags(described)):
            raise AwsError(
                f"the endpoint {self.name!r} was not made by segserve, which leaves it alone: choose "
                "another name",
                is_taken=True,
            )
        return described

    def add_tags(self, described: dict[str, Any], tags: dict[str, str]) -> None:
        """Write tags onto it."""
        self.session.call("sagemaker", "add_tags", ResourceArn=described["EndpointArn"], Tags=tag_list(tags))

    def config(self, name: str) -> dict[str, Any]:
        """Return an endpoint configuration."""
        return self.session.call("sagemaker", "describe_endpoint_config", EndpointConfigName=name)

    def model(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the model of an endpoint configuration."""
        name = config["ProductionVariants"][0]["ModelName"]
        return self.session.call("sagemaker", "describe_model", ModelName=name)

    def unit(self, config_name: str) -> Unit:
        """Return the unit of an endpoint configuration.

        Raises:
            AwsError: It is gone, or was not made by segserve.
        """
        config = self.config(config_name)
        tags = tag_dict(
            self.session.pages("sagemaker", "list_tags", "Tags", ResourceArn=config["EndpointConfigArn"])
        )
        model = self.model(config)
        if not is_ours(tags) or "PrimaryContainer" not in model:
            raise AwsError(f"the endpoint {self.name!r} runs {config_name!r}, which was not made by segserve")
        return described_unit(self.name, model=model, config=config, tags=tags)

    def history(self, tags: dict[str, str]) -> list[str]:
        """Return the configurations that served before, the latest last."""
        return tags.get(HISTORY_TAG, "").split()

    def wait(self, *, config: str, timeout_s: float) -> dict[str, Any]:
        """Wait until it serves a configuration; say each change of its status.

        Raises:
            EndpointFailedError: It failed, or SageMaker went back to what served before.
            AwsError: It is gone, or the time is over.
        """
        started, last, looks = time.monotonic(), None, 0
        while True:
            described = self.require()
            status = described["EndpointStatus"]
            elapsed_s = time.monotonic() - started
            if status != last:
                self._say(f"{elapsed_s:5.0f} s  {self.name}: {status}")
                last = status
            if status == "InService" and described["EndpointConfigName"] == config:
                return described
            if status == "InService":
                looks += 1
                if looks >= _LOOKS or described.get("FailureReason"):
                    raise self._failed(
                        described, f"failed: SageMaker went back to {described['EndpointConfigName']}"
                    )
            elif status in _BROKEN:
                raise self._failed(described, "failed" if status == "Failed" else f"is {status}")
            if elapsed_s > timeout_s:
                raise AwsError(
                    f"the endpoint {self.name} is still {status} after {timeout_s:.0f} s; 'segserve status "
                    f"{self.name}' follows it, "
                    f"'segserve delete {self.name} --yes' ends it"
                )
            time.sleep(self.session.poll_s)

    def wait_until_settled(self, *, timeout_s: float) -> dict[str, Any] | None:
        """Wait until nothing is under way and return it, None where it is gone."""
        started = time.monotonic()
        while (described := self.describe()) and described["EndpointStatus"] in BUSY:
            if time.monotonic() - started > timeout_s:
                raise AwsError(
                    f"the endpoint {self.name} is still {described['EndpointStatus']} after {timeout_s:.0f} s"
                )
            time.sleep(self.session.poll_s)
        return described

    def wait_until_gone(self, *, timeout_s: float) -> None:
        """Wait until it is deleted."""
        started = time.monotonic()
        while described := self.describe():
            if time.monotonic() - started > timeout_s:
                raise AwsError(
                    f"the endpoint {self.name} is still {described['EndpointStatus']} after {timeout_s:.0f} s"
                )
            time.sleep(self.session.poll_s)

    def log_tail(self, lines: int = _LOG_LINES, *, reason: str | None = None) -> list[str]:
        """Return the last lines that its containers logged; none where logs may not be read.

        Args:
            lines: At most so many.
            reason: Its FailureReason; that of a SageMaker on this machine names the log, a file.
        """
        if reason and self.session.is_local("sagemaker") and (found := _LOG_PATH.search(reason)):
            return _file_tail(Path(found["path"]), lines)
        if not self.session.has("logs"):
            return []
        group = f"/aws/sagemaker/Endpoints/{self.name}"
        try:
            streams = self.session.call(
                "logs",
                "describe_log_streams",
                logGroupName=group,
                orderBy="LastEventTime",
                descending=True,
                limit=_LOG_STREAMS,
            )["logStreams"]
            events = [
                event
                for stream in streams
                for event in self.session.call(
                    "logs",
                    "get_log_events",
                    logGroupName=group,
                    logStreamName=stream["logStreamName"],
                    limit=lines,
                )["events"]
            ]
        except AwsError:
            return []
        events.sort(key=lambda event: event["timestamp"])
        return [str(event["message"]).rstrip() for event in events[-lines:]]

    def _failed(self, described: dict[str, Any], what: str) -> EndpointFailedError:
        given = described.get("FailureReason")
        reason = " ".join(str(given or "SageMaker gives no reason").split()).rstrip(".")
        hint = next((hint for words, hint in _HINTS if words in reason.lower()), None)
        # A container that ended by itself has said why in its log.
        advice = f" ({hint})" if hint and "exit code" not in reason else ""
        return EndpointFailedError(
            f"the endpoint {self.name} {what}: {reason}{advice}",
            log=self.log_tail(reason=given),
            no_log=no_log(self.session),
        )


def no_log(session: Session) -> str:
    """Return what is said in place of a log."""
    if session.is_local("sagemaker"):
        return (
            "There is no log to be had here: 'segserve local' keeps its own under logs/ of its --state folder"
        )
    return "There is no log to be had: the container logged nothing, or CloudWatch may not be read"


def _file_tail(path: Path, lines: int) -> list[str]:
    try:
        with path.open(errors="replace") as log:
            return [line.rstrip() for line in deque(log, maxlen=lines)]
    except OSError:
        return []


def is_ours(tags: dict[str, str]) -> bool:
    """Tell by its tags whether segserve made a thing."""
    return tags.get(MANAGED_BY_TAG) == MANAGED_BY and ENDPOINT_TAG in tags


def since(described: dict[str, Any]) -> datetime:
    """Return when an endpoint was created."""
    created: datetime = described["CreationTime"]
    return created
