"""Serve model.joblib with BentoML: its own API for invocations, and a mounted route for the ping."""

import bentoml
import joblib
import numpy as np
from fastapi import FastAPI

routes = FastAPI()


@routes.get("/ping")
def ping() -> None:
    """Answer the health check, for which BentoML has /livez and /readyz."""


@bentoml.asgi_app(routes)
@bentoml.service(http={"port": 8080})
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
