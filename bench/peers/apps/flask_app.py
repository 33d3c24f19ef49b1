"""Serve model.joblib with Flask, as most tutorials on SageMaker containers do."""

from typing import Any

import joblib
from flask import Flask, jsonify, request

app = Flask(__name__)
pipeline = joblib.load("model.joblib")


@app.get("/ping")
def ping() -> str:
    """Answer the health check."""
    return ""


@app.post("/invocations")
def invocations() -> Any:
    """Answer the label of each record."""
    return jsonify(pipeline.predict(request.get_json()).tolist())
