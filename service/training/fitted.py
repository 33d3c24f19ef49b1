"""Hold what a fit found, as scikit-learn's StandardScaler and KMeans hold it."""

from dataclasses import dataclass

from service.training.arithmetic import Floats


@dataclass(frozen=True, slots=True)
class Scaler:
    """Hold what divides features of different units; arrays of shape (n_features,)."""

    mean: Floats
    variance: Floats
    scale: Floats
    """The standard deviation, 1 where that is 0."""
    n_samples: int
    """Customers."""

    def apply(self, features: Floats) -> Floats:
        """Return scaled features, shape (n_samples, n_features)."""
        return (features - self.mean) / self.scale


@dataclass(frozen=True, slots=True)
class Clusters:
    """Hold centroids in scaled space, and how they were found."""

    centroids: Floats
    """Shape (k, n_features)."""
    inertia: float
    iterations: int
    seed: int
    starts: int
    tolerance: float
    """Of the centroids' moves, as a share of the features' variance."""
    absolute_tolerance: float
    start: Floats | None = None
    """Where the fit began, shape (k, n_features); None: at random."""
