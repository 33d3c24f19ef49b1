"""Serve model.joblib as SageMaker's scikit-learn image does: its Worker around a user's model_fn.

The image's package is in no registry; these few lines do what its `serving.main` does, on the same library.
Its input_fn makes numbers float32, which this model refuses, so the user's input_fn leaves them as they are.
"""

import collections
import collections.abc
from collections.abc import Callable, Iterable
from typing import Any

import joblib

collections.Mapping = collections.abc.Mapping  # type: ignore[attr-defined]  # the library's newest Python is 3.9

from sagemaker_containers.beta.framework import encoders, transformer, worker  # noqa: E402


def model_fn(_model_dir: str) -> Any:
    """Load the model."""
    return joblib.load("model.joblib")


def predict_fn(data: Any, model: Any) -> Any:
    """Return the label of each record."""
    return model.predict(data)


def output_fn(prediction: Any, accept: str) -> Any:
    """Encode the labels."""
    return worker.Response(encoders.encode(prediction, accept), mimetype=accept)


_transformer = transformer.Transformer(
    model_fn=model_fn, input_fn=encoders.decode, predict_fn=predict_fn, output_fn=output_fn
)
_transformer.initialize()
_app = worker.Worker(transform_fn=_transformer.transform, module_name=__name__)


def main(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request, as WSGI asks."""
    answer: Iterable[bytes] = _app(environ, start_response)
    return answer
