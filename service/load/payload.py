"""Make payloads of customers, the same every time."""

import json
import random
from typing import Final

_SEED: Final = 20261123


def make_payload(n: int) -> bytes:
    """Return n records as JSON: whole ages, Spending_Power to the cent."""
    draw = random.Random(_SEED)  # noqa: S311  # nothing secret about it
    records = [
        [draw.randint(18, 69), round(draw.randint(30_000, 149_999) / draw.randint(1, 49), 2)]
        for _ in range(n)
    ]
    return json.dumps(records).encode()
