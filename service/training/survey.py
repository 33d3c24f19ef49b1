"""Look at a data set before it is fitted; without scikit-learn, which may be imported meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.compiled import load_kernel
from service.features import AGE, FEATURE_NAMES, INCOME, PURCHASES, SPENDING_POWER, spending_powers
from service.settings import KernelUse
from service.training.arithmetic import Arithmetic, make_arithmetic
from service.training.candidates import CANDIDATES, Candidate, sweep
from service.training.dataset import Dataset
from service.training.distinct import check_enough_records
from service.training.hyperparameters import Hyperparameters

OnProgress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done of it and what there is of it."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Hold a data set in an order of its own, and what each number of clusters would do."""

    dataset: Dataset
    hyperparameters: Hyperparameters
    columns: Mapping[str, npt.NDArray[np.float64]]
    """Age, Income, Purchases and Spending_Power, each (n_samples,)."""
    order: npt.NDArray[np.int64]
    """Where each record stands in the data set."""
    candidates: Sequence[Candidate]
    arithmetic: Arithmetic
    """Of fits of k-means; no result depends on it."""

    @property
    def vectors(self) -> npt.NDArray[np.float64]:
        """Return what the model takes, shape (n_samples, 2), in FEATURE_NAMES order."""
        return np.column_stack([self.columns[name] for name in FEATURE_NAMES])


def make_survey(
    dataset: Dataset,
    hyperparameters: Hyperparameters,
    *,
    kernel: KernelUse = KernelUse.AUTO,
    on_progress: OnProgress,
) -> Survey:
    """Put the records in order, and measure each number of clusters.

    Args:
        dataset: The records.
        hyperparameters: What the user decided about the fit.
        kernel: Whether the compiled kernel may, or must, be used; the result does not depend on it.
        on_progress: Told of each stage.

    Raises:
        ConfigurationError: The kernel must be used, and cannot be.
        TrainingError: There are fewer distinct records than clusters.
    """
    columns, order = _canonical_columns(dataset)
    vectors = np.column_stack([columns[name] for name in FEATURE_NAMES])
    given, used = hyperparameters.k, dataset.report.used
    if given is not None:
        check_enough_records(vectors, k=given)
    extension, _ = load_kernel(kernel)
    arithmetic = make_arithmetic(extension)
    candidates = sweep(
        vectors,
        transform=hyperparameters.transform,
        seed=hyperparameters.seed,
        ks=(*CANDIDATES, *([] if given is None else [given])),
        arithmetic=arithmetic,
        on_progress=lambda done, total: on_progress("Choosing k", done, total),
    )
    if used > len(vectors):
        candidates = [replace(one, smallest_size=round(one.smallest_share * used)) for one in candidates]
    return Survey(dataset, hyperparameters, columns, order, candidates, arithmetic)


def _canonical_columns(dataset: Dataset) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.int64]]:
    """Return the columns with their records in an order that does not depend on the file's, and the order."""
    powers = spending_powers(dataset.incomes, dataset.purchases)
    order = np.lexsort((dataset.purchases, dataset.incomes, powers, dataset.ages))
    columns = {
        AGE: dataset.ages[order],
        INCOME: dataset.incomes[order],
        PURCHASES: dataset.purchases[order],
        SPENDING_POWER: powers[order],
    }
    return columns, order
