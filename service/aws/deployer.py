"""Bring a unit into service, or leave everything as it was: create, update and roll back an endpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.aws.calls import ApiCall
from service.aws.endpoint import BUSY, Endpoint, Say
from service.aws.names import HISTORY_TAG, VERSION_TAG, join_history
from service.aws.session import Session
from service.aws.unit import Unit
from service.errors import AwsError, ServiceError

DEPLOY_TIMEOUT_S = 3600.0

Check = Callable[[], None]
"""Raises when the endpoint does not answer as it should."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what a deployment came to."""

    endpoint: str
    unit: str
    version: str
    action: str
    """created, updated, or unchanged."""
    described: Mapping[str, Any]


@dataclass
class _Undo:
    """Collect what takes back the steps that were done, and take them back, the last first."""

    session: Session
    say: Say
    steps: list[tuple[str, Callable[[], object]]] = field(default_factory=list)

    def add(self, what: str, step: Callable[[], object]) -> None:
        self.steps.append((what, step))

    def run(self) -> list[str]:
        """Return what could not be taken back."""
        left = []
        while self.steps:
            what, step = self.steps.pop()
            try:
                step()
            except ServiceError as exc:
                if not (isinstance(exc, AwsError) and exc.is_missing):
                    left.append(f"{what}: {exc}")
            else:
                self.say(f"         took back {what}")
        return left


class Deployer:
    """Bring units into service on one endpoint."""

    def __init__(
        self, session: Session, endpoint: str, *, say: Say, timeout_s: float = DEPLOY_TIMEOUT_S
    ) -> None:
        """Name the endpoint and who hears of progress."""
        self._session = session
        self._endpoint = Endpoint(session, endpoint, say=say)
        self._say = say
        self._timeout_s = timeout_s
        self._undo = _Undo(session, say)
        self._kept: list[str] = []

    def plan(self, unit: Unit, *, deployment: Mapping[str, Any] | None = None) -> list[ApiCall]:
        """Return the calls that bring a unit into service, as things are now."""
        described = self._endpoint.describe()
        if (
            described
            and described["EndpointConfigName"] == unit.name
            and described["EndpointStatus"] != "Failed"
        ):
            return []
        if described and described["EndpointStatus"] != "Failed":
            return [*unit.calls(), _update(unit, deployment)]
        return [*unit.calls(), _create(unit)]

    def add_undo(self, what: str, step: Callable[[], object]) -> None:
        """Take a step back too if the deployment fails: one that was done before it."""
        self._undo.add(what, step)

    def add_kept(self, what: str) -> None:
        """Name what a step before the deployment made, and what stays even if the deployment fails."""
        self._kept.append(what)

    def deploy(self, unit: Unit, *, check: Check, deployment: Mapping[str, Any] | None = None) -> Outcome:
        """Create or update the endpoint, wait for it and check its answers; take all back on failure.

        Args:
            unit: What shall serve.
            check: Called once it is in service.
            deployment: DeploymentConfig of an update.

        Raises:
            AwsError: It failed, and everything is as before; or says what is not.
        """
        try:
            return self._deploy(unit, check, deployment)
        except KeyboardInterrupt:
            raise self._taken_back(
                AwsError(f"interrupted while {unit.endpoint} was being deployed")
            ) from None
        except ServiceError as exc:
            raise self._taken_back(exc) from exc

    def _deploy(self, unit: Unit, check: Check, deployment: Mapping[str, Any] | None) -> Outcome:
        before = self._before(unit)
        if before and before["EndpointConfigName"] == unit.name:
            described = self._endpoint.wait(config=unit.name, timeout_s=self._timeout_s)
            check()
            return Outcome(unit.endpoint, unit.name, unit.version, "unchanged", described)
        self._make(unit)
        if before is None:
            _create(unit).make(self._session)
            self._undo.add(f"endpoint {unit.endpoint}", self._delete_endpoint)
            described = self._endpoint.wait(config=unit.name, timeout_s=self._timeout_s)
            check()
            return Outcome(unit.endpoint, unit.name, unit.version, "created", described)
        previous = before["EndpointConfigName"]
        _update(unit, deployment).make(self._session)
        self._undo.add(f"update of {unit.endpoint}", lambda: self._restore(previous))
        described = self._endpoint.wait(config=unit.name, timeout_s=self._timeout_s)
        check()
        self._remember(described, unit.version, previous)
        return Outcome(unit.endpoint, unit.name, unit.version, "updated", described)

    def roll_back(self, *, check_of: Callable[[Unit], Check]) -> Outcome:
        """Put back the configuration that served before.

        Args:
            check_of: Returns how to check the answers of a unit.

        Raises:
            AwsError: There is none, or it is gone.
        """
        described = self._endpoint.require_ours()
        if described["EndpointStatus"] != "InService":
            raise AwsError(
                f"the endpoint {self._endpoint.name} is {described['EndpointStatus']}: wait until it is "
                "InService"
            )
        tags = self._endpoint.tags(described)
        history = self._endpoint.history(tags)
        if not history:
            raise AwsError(
                f"the endpoint {self._endpoint.name} has served nothing else before: there is nothing to "
                "roll back to"
            )
        unit, previous = self._endpoint.unit(history[-1]), described["EndpointConfigName"]
        update = {"EndpointName": self._endpoint.name, "EndpointConfigName": history[-1]}
        try:
            self._session.call("sagemaker", "update_endpoint", **update)
            self._undo.add(f"rollback of {self._endpoint.name}", lambda: self._restore(previous))
            described = self._endpoint.wait(config=history[-1], timeout_s=self._timeout_s)
            check_of(unit)()
        except ServiceError as exc:
            raise self._taken_back(exc) from exc
        self._endpoint.add_tags(
            described, {HISTORY_TAG: join_history(history[:-1]), VERSION_TAG: unit.version}
        )
        return Outcome(self._endpoint.name, history[-1], unit.version, "updated", described)

    def _before(self, unit: Unit) -> dict[str, Any] | None:
        """Return the endpoint as it is, None where one must be made; a failed one of ours is cleared away."""
        if self._endpoint.describe() is None:
            return None
        described = self._endpoint.require_ours()
        status = described["EndpointStatus"]
        if status in BUSY and described["EndpointConfigName"] != unit.name:
            raise AwsError(
                f"the endpoint {unit.endpoint} is {status}: wait until that is over, 'segserve status "
                f"{unit.endpoint}' tells"
            )
        if status == "Failed":
            self._say(f"         {unit.endpoint} had failed; making it anew")
            self._delete_endpoint()
            return None
        return described

    def _make(self, unit: Unit) -> None:
        """Make model and configuration; those of the same name are the same."""
        for call, kind in zip(unit.calls(), ("model", "endpoint_config"), strict=True):
            try:
                call.make(self._session)
            except AwsError as exc:
                if not exc.is_taken:
                    raise
                continue
            self._say(f"         {kind.replace('_', ' ')} {unit.name}")
            self._undo.add(f"{kind.replace('_', ' ')} {unit.name}", self._deletion(kind, unit.name))

    def _deletion(self, kind: str, name: str) -> Callable[[], object]:
        key = "ModelName" if kind == "model" else "EndpointConfigName"
        return lambda: self._session.call("sagemaker", f"delete_{kind}", **{key: name})

    def _delete_endpoint(self) -> None:
        if self._endpoint.wait_until_settled(timeout_s=self._timeout_s):
            self._session.call("sagemaker", "delete_endpoint", EndpointName=self._endpoint.name)
        self._endpoint.wait_until_gone(timeout_s=self._timeout_s)

    def _restore(self, config: str) -> None:
        """Bring back a configuration, unless SageMaker did so itself."""
        described = self._endpoint.wait_until_settled(timeout_s=self._timeout_s)
        if described and described["EndpointConfigName"] != config:
            self._session.call(
                "sagemaker", "update_endpoint", EndpointName=self._endpoint.name, EndpointConfigName=config
            )
            self._endpoint.wait(config=config, timeout_s=self._timeout_s)

    def _remember(self, described: dict[str, Any], version: str, previous: str) -> None:
        history = [
            name for name in self._endpoint.history(self._endpoint.tags(described)) if name != previous
        ]
        self._endpoint.add_tags(
            described, {HISTORY_TAG: join_history([*history, previous]), VERSION_TAG: version}
        )

    def _taken_back(self, error: ServiceError) -> AwsError:
        left = self._undo.run()
        if not left and self._kept:
            return AwsError(f"{error}\nEverything is as it was before, but for {', '.join(self._kept)}.")
        if not left:
            return AwsError(f"{error}\nEverything is as it was before.")
        return AwsError(
            f"{error}\nNot all could be taken back, and may bill: {'; '.join(left)}. "
            f"'segserve delete {self._endpoint.name} --yes' tries again."
        )


def _create(unit: Unit) -> ApiCall:
    parameters = {"EndpointName": unit.endpoint, "EndpointConfigName": unit.name, "Tags": unit.all_tags}
    return ApiCall("sagemaker", "create_endpoint", parameters)


def _update(unit: Unit, deployment: Mapping[str, Any] | None) -> ApiCall:
    parameters: dict[str, Any] = {"EndpointName": unit.endpoint, "EndpointConfigName": unit.name}
    if deployment:
        parameters["DeploymentConfig"] = deployment
    return ApiCall("sagemaker", "update_endpoint", parameters)
