"""Fit the model that all peers serve: `python fit.py FOLDER`, in any environment with scikit-learn."""

import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.cluster import KMeans
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler


def main(folder: str) -> None:
    """Write model.joblib, and an MLflow model where MLflow is installed."""
    draw = np.random.default_rng(42)
    data = np.column_stack([draw.uniform(18, 80, 1000), draw.uniform(100, 5000, 1000)])
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("kmeans", KMeans(n_clusters=4, n_init=10, random_state=42))]
    )
    pipeline.fit(data)
    joblib.dump(pipeline, Path(folder) / "model.joblib")
    try:
        import mlflow.sklearn  # noqa: PLC0415  # only two of the environments have it
    except ModuleNotFoundError:
        return
    mlflow.sklearn.save_model(
        pipeline, str(Path(folder) / "mlflow-model"), serialization_format="cloudpickle"
    )


if __name__ == "__main__":
    main(sys.argv[1])
