"""Save model.joblib as an MLflow model: `python save_mlflow.py`, in an environment with MLflow."""

import joblib
import mlflow.sklearn

if __name__ == "__main__":
    mlflow.sklearn.save_model(joblib.load("model.joblib"), "mlflow-model", serialization_format="cloudpickle")
