"""Make of usable customers what a model takes."""

import numpy as np
import numpy.typing as npt

from service.features import spending_powers
from service.model import SegmentModel
from service.training.customers import CustomerBatch


def model_features(batch: CustomerBatch, model: SegmentModel) -> npt.NDArray[np.float64]:
    """Return what a model takes of the usable customers, its own median for a missing Income."""
    usable = batch.is_usable
    incomes = np.where(np.isnan(batch.incomes), model.income_median, batch.incomes)[usable]
    return np.column_stack([batch.ages[usable], spending_powers(incomes, batch.purchases[usable])])
