"""Make up a day's requests: a daily curve, and a spike on top of it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.errors import ConfigurationError

MAX_RATE = 1e8
"""Requests a second; more than any service of AWS has been seen to take."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Hold how many requests a second come when.

    Raises:
        ConfigurationError: A value is not accepted.
    """

    peak: float
    """Requests a second at the busiest time of the day, without the spike."""
    trough: float = 0.25
    """What is left of the peak in the quietest time, as a share."""
    hours: int = 24
    spike: float = 1.0
    """The spike multiplies the requests by this; 1 is none."""
    spike_hour: float = 9.0
    """When it begins, in hours from the start."""
    spike_minutes: float = 20.0
    ramp_s: float = 30.0
    """How long the spike takes to rise, and to fall again."""

    def __post_init__(self) -> None:
        """Check each value."""
        check_ranges(
            ("--peak", self.peak, 0.001, MAX_RATE),
            ("--trough", self.trough, 0, 1),
            ("--spike", self.spike, 1, 10_000),
            ("--spike-minutes", self.spike_minutes, 0, 60 * self.hours),
            ("--spike-ramp", self.ramp_s, 0, 3600),
        )
        if self.spike > 1 and not 0 <= self.spike_hour < self.hours:
            raise ConfigurationError(
                f"--spike-at {self.spike_hour:g} is not accepted: it should be 0 to below {self.hours} hours"
            )

    @property
    def spike_start_s(self) -> float:
        """Return when the spike begins, in seconds from the start."""
        return self.spike_hour * 3600

    def rates(self) -> npt.NDArray[np.float64]:
        """Return the requests a second of each second; quietest at 3 hours, busiest at 15."""
        seconds = np.arange(self.hours * 3600) + 0.5
        swing = (1 - np.cos(2 * math.pi * (seconds / 3600 - 3) / 24)) / 2
        rates: npt.NDArray[np.float64] = self.peak * (self.trough + (1 - self.trough) * swing)
        if self.spike > 1:
            since = seconds - self.spike_start_s
            left = self.spike_start_s + self.spike_minutes * 60 - seconds
            rise = np.clip(np.minimum(since, left) / max(self.ramp_s, 1e-9), 0, 1)
            rates *= 1 + (self.spike - 1) * rise
        return rates


def check_ranges(*options: tuple[str, float, float, float]) -> None:
    """Raise ConfigurationError for an option's value outside its bounds: name, value, least and most."""
    for option, value, low, high in options:
        if not low <= value <= high:
            raise ConfigurationError(f"{option} {value:g} is not accepted: it should be {low:g} to {high:g}")
