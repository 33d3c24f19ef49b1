"""Serve model.joblib with BentoML, as its documentation shows."""

import os

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=int(os.environ["WORKERS"]))
class Segments:
    """Hold the model."""

    def __init__(self) -> None:
        """Load it."""
        self.pipeline = joblib.load("model.joblib")

    @bentoml.api(route="/invocations")  # type: ignore[untyped-decorator]  # not installed here
    def invocations(self, data: np.ndarray) -> list[int]:
        """Answer the label of each record."""
        labels: list[int] = self.pipeline.predict(data).tolist()
        return labels
