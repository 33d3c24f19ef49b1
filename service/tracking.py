"""Say how an endpoint scales: the policy that `segserve autoscale` writes and `segserve simulate` tries."""

import math
from dataclasses import dataclass
from typing import Final

from service.errors import ConfigurationError

DEFAULT_MINIMUM: Final = 1
DEFAULT_MAXIMUM: Final = 4
DEFAULT_TARGET: Final = 1000.0
"""Invocations a minute and instance."""


@dataclass(frozen=True, slots=True)
class TargetTracking:
    """Hold a target-tracking policy with its bounds; one that AWS would refuse is refused here.

    Raises:
        ConfigurationError: The values are not accepted.
    """

    minimum: int = DEFAULT_MINIMUM
    """Instances at least; 0 only of an asynchronous endpoint."""
    maximum: int = DEFAULT_MAXIMUM
    target: float = DEFAULT_TARGET
    """Invocations a minute and instance to aim at; those that wait when asynchronous."""
    is_async: bool = False
    scale_out_cooldown_s: int = 60
    scale_in_cooldown_s: int = 300

    def __post_init__(self) -> None:
        """Check each value."""
        if self.minimum < (0 if self.is_async else 1):
            raise ConfigurationError(
                f"--min {self.minimum} is not accepted: 1 or more, and 0 only of an asynchronous endpoint"
            )
        least = max(self.minimum, 1)
        if self.maximum < least:
            raise ConfigurationError(f"--max {self.maximum} is not accepted: it should be at least {least}")
        if not 0 < self.target < math.inf:
            raise ConfigurationError(f"--target {self.target:g} is not accepted: it should be greater than 0")
