"""Serve model.joblib with FastAPI, as its tutorial would."""

import joblib
from fastapi import FastAPI

app = FastAPI()
pipeline = joblib.load("model.joblib")


@app.get("/ping")
def ping() -> None:
    """Answer the health check."""


@app.post("/invocations")
def invocations(data: list[list[float]]) -> list[int]:
    """Answer the label of each record."""
    labels: list[int] = pipeline.predict(data).tolist()
    return labels
