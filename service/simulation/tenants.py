"""Say how often a model is found in memory where there are more of them than fit."""

from collections import OrderedDict
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_EXACT_RANKS: Final = 1000
_GROUPS: Final = 4000
"""Ranks beyond the first thousand are taken together with others like them."""


def zipf_shares(tenants: int, exponent: float) -> Floats:
    """Return which share of all requests each tenant sends, the busiest first, shape (tenants,)."""
    weights = np.arange(1, tenants + 1, dtype=np.float64) ** -exponent
    shares: Floats = weights / weights.sum()
    return shares


def hit_rate(shares: Floats, cached: int) -> float:
    """Return the share of requests that find their model loaded, if the least recently used one goes.

    Args:
        shares: Of requests, descending, shape (tenants,).
        cached: How many models fit.

    Source: Che, Tung and Wang, "Hierarchical web caching systems", 2002: a model is there if it was asked
    for within a time that is the same for all. tests/simulation holds it against the cache itself.
    """
    if cached >= len(shares):
        return 1.0
    values, counts = _grouped(shares)
    low, high = 0.0, 1.0
    while float(counts @ -np.expm1(-values * high)) < cached:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if float(counts @ -np.expm1(-values * middle)) < cached:
            low = middle
        else:
            high = middle
    return float((counts * values) @ -np.expm1(-values * high))


def _grouped(shares: Floats) -> tuple[Floats, Floats]:
    """Return a few thousand shares, each with the number of tenants that it stands for."""
    if len(shares) <= _EXACT_RANKS + _GROUPS:
        return shares, np.ones_like(shares)
    edges = np.unique(np.geomspace(_EXACT_RANKS, len(shares), _GROUPS).astype(np.int64))
    starts = np.concatenate([np.arange(_EXACT_RANKS), edges[:-1]])
    counts = np.diff(np.append(starts, len(shares))).astype(np.float64)
    means: Floats = np.add.reduceat(shares, starts) / counts
    return means, counts


class LruCache:
    """Hold the tenants whose models are loaded, the least recently used one first."""

    def __init__(self, size: int) -> None:
        """Begin with none."""
        self._size = size
        self._kept: OrderedDict[int, None] = OrderedDict()

    @property
    def kept(self) -> frozenset[int]:
        """Return whose models are loaded."""
        return frozenset(self._kept)

    def ask(self, tenant: int) -> tuple[bool, int | None]:
        """Tell whether a tenant's model is loaded, and which one goes to make room for it."""
        if tenant in self._kept:
            self._kept.move_to_end(tenant)
            return True, None
        gone = self._kept.popitem(last=False)[0] if len(self._kept) >= self._size else None
        self._kept[tenant] = None
        return False, gone


def draw_tenants(shares: Floats, requests: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return who sends each request, shape (requests,)."""
    places = np.searchsorted(np.cumsum(shares), random.random(requests) * shares.sum(), side="right")
    tenants: npt.NDArray[np.int64] = np.minimum(places, len(shares) - 1)
    return tenants
