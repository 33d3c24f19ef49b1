"""Serve model.joblib as AWS's scikit_bring_your_own example does: Flask and pandas; JSON is added."""

import io

import flask
import joblib
import pandas as pd

app = flask.Flask(__name__)
pipeline = joblib.load("model.joblib")


@app.get("/ping")
def ping() -> flask.Response:
    """Answer the health check."""
    return flask.Response("\n", status=200, mimetype="application/json")


@app.post("/invocations")
def invocations() -> flask.Response:
    """Answer the label of each record."""
    if flask.request.content_type == "application/json":
        return flask.jsonify(pipeline.predict(flask.request.get_json()).tolist())
    if flask.request.content_type != "text/csv":
        return flask.Response("This predictor takes CSV and JSON", status=415, mimetype="text/plain")
    table = pd.read_csv(io.StringIO(flask.request.data.decode()), header=None)
    answer = io.StringIO()
    pd.DataFrame({"results": pipeline.predict(table)}).to_csv(answer, header=False, index=False)
    return flask.Response(answer.getvalue(), status=200, mimetype="text/csv")
