"""Measure every number of clusters that comes into question."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from service.training.arithmetic import BY_NUMPY, Arithmetic, Floats, Labels
from service.training.distinct import count_distinct
from service.training.gap import Gap, measure_gaps
from service.training.lloyd import Centroids, fit_many
from service.training.rounding import round_significant
from service.training.sampling import draw_positions, random_source
from service.training.silhouette import silhouettes
from service.training.spread import measure_spread
from service.training.stability import measure_stability
from service.transform import Transform, transform_all

CANDIDATES: Final = range(2, 11)
"""The numbers of clusters that `auto` tries."""

MAX_GIVEN: Final = 30
"""A given k up to here is measured beside them."""

SWEEP_RECORDS: Final = 2_500
MIN_SWEEP_RECORDS: Final = 400
LARGE: Final = 50_000
RECORDS_A_SAMPLED: Final = 200
"""Above LARGE records one of so many is drawn, so that the sweep stays within twice the final fit."""

BOOTSTRAPS: Final = 20
BOOTSTRAPS_LARGE: Final = 8
SILHOUETTE_RECORDS: Final = 1_500
SHARE_RECORDS: Final = 20_000
STARTS: Final = 10


@dataclass(frozen=True, slots=True)
class Candidate:
    """Hold how well one number of clusters does."""

    k: int
    inertia: float
    silhouette: float
    calinski_harabasz: float
    davies_bouldin: float
    gap: float
    gap_error: float
    stability: float
    """Mean adjusted Rand index of fits to bootstrap samples."""
    worst_jaccard: float
    """Of the cluster that comes back worst."""
    smallest_size: int
    smallest_share: float


@dataclass(frozen=True, slots=True)
class Scaled:
    """Hold records in scaled space, as standardised over all of them; arrays of shape (n_samples,)."""

    x: Floats
    y: Floats

    @classmethod
    def of(cls, vectors: npt.NDArray[np.float64], *, transform: Transform) -> "Scaled":
        """Standardise unscaled features, shape (n_samples, 2)."""
        return cls(_standardise(vectors[:, 0]), _standardise(transform_all(vectors[:, 1], transform)))

    def __len__(self) -> int:
        return len(self.x)

    def sample(self, size: int, *, seed: int) -> "Scaled":
        """Return at most `size` of the records."""
        positions = draw_positions(len(self), size=size, seed=seed)
        return self if len(positions) == len(self) else Scaled(self.x[positions], self.y[positions])

    def fit(self, k: int, *, random: np.random.RandomState, arithmetic: Arithmetic) -> Centroids:
        """Fit k clusters."""
        return fit_many(self.x[None], self.y[None], k=k, starts=STARTS, random=random, arithmetic=arithmetic)

    def label(self, centroids: Centroids) -> Labels:
        """Return the cluster of each record."""
        labels: Labels = centroids.label(self.x, self.y)[0]
        return labels


@dataclass(frozen=True, slots=True)
class _Samples:
    """Hold the records that each measure looks at: drawing them takes longer than measuring."""

    total: int
    """How many records there are."""
    records: Scaled
    seen: Scaled
    """For the silhouette."""
    counted: Scaled
    """For the shares."""
    arithmetic: Arithmetic
    """Of the fits."""

    @classmethod
    def of(cls, everyone: Scaled, *, seed: int, arithmetic: Arithmetic) -> "_Samples":
        """Draw from all records."""
        records = everyone.sample(sweep_size(len(everyone)), seed=seed)
        return cls(
            total=len(everyone),
            records=records,
            seen=records.sample(SILHOUETTE_RECORDS, seed=seed),
            counted=everyone.sample(SHARE_RECORDS, seed=seed),
            arithmetic=arithmetic,
        )


def sweep_size(n: int) -> int:
    """Return how many of n records the sweep looks at."""
    if n <= LARGE:
        return min(n, SWEEP_RECORDS)
    return min(max(n // RECORDS_A_SAMPLED, MIN_SWEEP_RECORDS), SWEEP_RECORDS)


def sweep(
    vectors: npt.NDArray[np.float64],
    *,
    transform: Transform,
    seed: int,
    ks: Iterable[int] = CANDIDATES,
    arithmetic: Arithmetic = BY_NUMPY,
    on_progress: Callable[[int, int], None],
) -> list[Candidate]:
    """Fit and measure each number of clusters that the records allow.

    Args:
        vectors: Unscaled features, shape (n_samples, 2), in a canonical row order.
        transform: Applied to Spending_Power before scaling.
        seed: Of the samples and of the fits.
        ks: The numbers of clusters.
        arithmetic: Of the fits; the result does not depend on it.
        on_progress: Called with the number of fits done and of all.
    """
    samples = _Samples.of(Scaled.of(vectors, transform=transform), seed=seed, arithmetic=arithmetic)
    records = samples.records
    distinct = count_distinct(np.column_stack([records.x, records.y]), enough=MAX_GIVEN + 1)
    allowed = sorted(k for k in set(ks) if 1 < k < min(distinct, MAX_GIVEN + 1))
    on_progress(0, len(allowed))
    # numpy and the kernel let go of the interpreter's lock; what comes out does not depend on the order.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        fits = dict(
            zip(
                allowed,
                threads.map(
                    lambda k: records.fit(k, random=random_source(seed), arithmetic=arithmetic), allowed
                ),
                strict=True,
            )
        )
        inertias = {k: float(fit.inertia[0]) for k, fit in fits.items()}
        gaps = threads.submit(
            measure_gaps, records.x, records.y, inertias, random=random_source(seed), arithmetic=arithmetic
        )
        running = [
            threads.submit(_measure, fits[k], gaps, samples=samples, seed=seed) for k in reversed(allowed)
        ]
        results = []
        for done, one in enumerate(reversed(running), start=1):
            results.append(one.result())
            on_progress(done, len(allowed))
    return results


def _measure(fit: Centroids, gaps: "Future[dict[int, Gap]]", *, samples: _Samples, seed: int) -> Candidate:
    k, records, seen = fit.x.shape[1], samples.records, samples.seen
    labels = records.label(fit)
    stability = measure_stability(
        records.x,
        records.y,
        labels,
        k=k,
        bootstraps=BOOTSTRAPS if samples.total <= LARGE else BOOTSTRAPS_LARGE,
        random=random_source(seed),
        arithmetic=samples.arithmetic,
    )
    share = int(np.bincount(samples.counted.label(fit), minlength=k).min()) / len(samples.counted)
    spread = measure_spread(records.x, records.y, labels, k=k)
    scores = silhouettes(seen.x, seen.y, seen.label(fit), k=k, arithmetic=samples.arithmetic)
    gap = gaps.result()[k]
    return Candidate(
        k=k,
        inertia=round_significant(float(fit.inertia[0])),
        silhouette=round_significant(float(scores.mean())),
        calinski_harabasz=round_significant(spread.calinski_harabasz),
        davies_bouldin=round_significant(spread.davies_bouldin),
        gap=round_significant(gap.gap),
        gap_error=round_significant(gap.error),
        stability=round_significant(stability.adjusted_rand),
        worst_jaccard=round_significant(stability.worst_jaccard),
        smallest_size=round(share * samples.total),
        smallest_share=round_significant(share),
    )


def _standardise(values: Floats) -> Floats:
    spread = float(values.std())
    centred: Floats = values - values.mean()
    return centred / spread if spread > 0 else centred
