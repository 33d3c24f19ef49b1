"""Serve model.joblib with LitServe, as its documentation shows."""

import os
from typing import Any

import joblib
import litserve


class Segments(litserve.LitAPI):  # type: ignore[misc]  # not installed here
    """Hold the model."""

    def setup(self, _device: str) -> None:
        """Load it."""
        self.pipeline = joblib.load("model.joblib")

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Return the records of a request."""
        return request["input"]

    def predict(self, records: Any) -> Any:
        """Return their labels."""
        return self.pipeline.predict(records)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return what is answered."""
        return {"output": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(
        Segments(api_path="/invocations"), accelerator="cpu", workers_per_device=int(os.environ["WORKERS"])
    )
    server.run(port=int(os.environ["PORT"]), generate_client_file=False)
