"""Scale as Application Auto Scaling does with a target-tracking policy: two alarms and two cooldowns."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from service.tracking import TargetTracking

PERIOD_S: Final = 60
"""SageMaker sends InvocationsPerInstance once a minute."""
HIGH_PERIODS: Final = 3
LOW_PERIODS: Final = 15
LOW_SHARE: Final = 0.9
"""The alarms that a target-tracking policy makes for an endpoint: above the target in 3 of 3 minutes, below
90 % of it in 15 of 15. Source: https://repost.aws/questions/QUf450Wsd9RROGGOIwaolN9w/sagemaker-autoscaling-delay"""
REMOVAL_S: Final = 60
"""For an instance to be taken away; assumed."""


@dataclass(slots=True)
class Scaler:
    """Hold what the service knows of an endpoint, and decide once a minute.

    While an update is under way SageMaker refuses another one ("Cannot update in-progress endpoint"); a
    cooldown begins when it has ended. A scale-out during its cooldown must be larger than the one before; a
    scale-in waits for its own to end, and a scale-out does not wait for that.
    Source: API_TargetTrackingScalingPolicyConfiguration of Application Auto Scaling.
    """

    policy: TargetTracking
    start_s: int
    """From the decision until new instances take traffic."""
    delay_s: int
    """From the end of a minute until the alarms see its figure."""
    desired: int
    _figures: deque[float] = field(default_factory=lambda: deque(maxlen=LOW_PERIODS))
    _coming: deque[tuple[int, float, int]] = field(default_factory=deque)
    _last: int = 0
    """Invocations of the newest minute that the alarms have seen."""
    _busy_until_s: int = 0
    _out_until_s: int = 0
    _in_until_s: int = 0
    _last_rise: int = 0

    def publish(self, now_s: int, per_instance: float, invocations: int) -> None:
        """Take the figures of the minute that has just ended."""
        self._coming.append((now_s + self.delay_s, per_instance, invocations))

    def decide(self, now_s: int) -> int:
        """Return by how many instances the endpoint changes now; negative where it shrinks."""
        while self._coming and self._coming[0][0] <= now_s:
            _, per_instance, invocations = self._coming.popleft()
            self._figures.append(per_instance)
            self._last = invocations
        if now_s < self._busy_until_s or not self._figures:
            return 0
        figures, policy = list(self._figures), self.policy
        wanted = math.ceil(self._last / policy.target)
        wanted = min(max(wanted, policy.minimum), policy.maximum)
        change = wanted - self.desired
        latest = figures[-HIGH_PERIODS:]
        is_high = len(latest) == HIGH_PERIODS and min(latest) > policy.target
        is_low = len(figures) == LOW_PERIODS and max(figures) < LOW_SHARE * policy.target
        if change > 0 and is_high and (now_s >= self._out_until_s or change > self._last_rise):
            self._last_rise = change
            self._busy_until_s = now_s + self.start_s
            self._out_until_s = self._busy_until_s + policy.scale_out_cooldown_s
            self._in_until_s = 0
        elif change < 0 and is_low and now_s >= max(self._in_until_s, self._out_until_s):
            self._busy_until_s = now_s + REMOVAL_S
            self._in_until_s = self._busy_until_s + policy.scale_in_cooldown_s
        else:
            return 0
        self.desired = wanted
        return change
