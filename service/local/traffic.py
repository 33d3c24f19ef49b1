"""Lead the invocations of each endpoint to its fleet, or to two while one replaces the other."""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from service.local.fleets import Fleet, Variant
from service.local.instances import Instance


@dataclass(slots=True)
class Route:
    """Hold what answers for an endpoint."""

    fleet: Fleet
    canary: Fleet | None = None
    canary_share: float = 0.0
    """Of the invocations, from 0 to 1."""

    @contextlib.contextmanager
    def lease(self, target_variant: str | None) -> Iterator[tuple[Variant, Instance]]:
        """Choose fleet, variant and instance."""
        is_canary = self.canary is not None and random.random() < self.canary_share  # noqa: S311
        chosen = self.canary if is_canary and self.canary is not None else self.fleet
        with chosen.lease(target_variant) as leased:
            yield leased


class Traffic:
    """Hold the routes of all endpoints, by ARN."""

    def __init__(self) -> None:
        """Begin with none."""
        self._routes: dict[str, Route] = {}

    def get(self, arn: str) -> Route | None:
        """Return an endpoint's route, None while nothing serves it."""
        return self._routes.get(arn)

    def lead(self, arn: str, fleet: Fleet) -> Fleet | None:
        """Lead all invocations to a fleet from now on; return the one that served before."""
        before = self._routes.get(arn)
        self._routes[arn] = Route(fleet)
        return before.fleet if before else None

    def cut(self, arn: str) -> Fleet | None:
        """Lead nothing to an endpoint any more; return the fleet that served."""
        before = self._routes.pop(arn, None)
        return before.fleet if before else None

    def fleets(self) -> list[Fleet]:
        """Return every fleet that serves."""
        return [route.fleet for route in self._routes.values()]
