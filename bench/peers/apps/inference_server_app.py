"""Serve model.joblib with inference-server: the hooks that its documentation asks for.

A hook takes only those arguments that it needs.
"""

import sys
from typing import Any

import inference_server
import joblib
import orjson


@inference_server.plugin_hook()  # type: ignore[untyped-decorator]  # not installed here
def model_fn() -> Any:
    """Load the model."""
    return joblib.load("model.joblib")


@inference_server.plugin_hook()  # type: ignore[untyped-decorator]
def input_fn(input_data: bytes) -> Any:
    """Decode the records."""
    return orjson.loads(input_data)


@inference_server.plugin_hook()  # type: ignore[untyped-decorator]
def predict_fn(data: Any, model: Any) -> Any:
    """Return their labels."""
    return model.predict(data)


@inference_server.plugin_hook()  # type: ignore[untyped-decorator]
def output_fn(prediction: Any) -> tuple[bytes, str]:
    """Encode the labels."""
    return orjson.dumps(prediction.tolist()), "application/json"


def create_app() -> Any:
    """Return the application; the hooks are registered here rather than by an entry point of a package."""
    inference_server._plugin.manager().register(sys.modules[__name__])  # noqa: SLF001  # it has no public way
    inference_server.warmup()
    return inference_server.create_app()
