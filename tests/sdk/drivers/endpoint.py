"""Serve a model and invoke it: `endpoint.py JOB.json RESULT.json`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagemaker.core.local import LocalSession


def invoke(runtime: Any, request: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer; a header that the request lacks is not sent."""
    answer = runtime.invoke_endpoint(EndpointName="segserve", **request)
    return {
        "status": answer["ResponseMetadata"]["HTTPStatusCode"],
        "content_type": answer["ContentType"],
        "body": answer["Body"].read().decode(),
    }


def main() -> None:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    session = LocalSession()
    client = session.sagemaker_client
    client.create_model(
        ModelName="segserve",
        PrimaryContainer={"Image": job["image"], "ModelDataUrl": job["model"], "Environment": {}},
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "segserve",
        "InitialInstanceCount": 1,
        "InstanceType": "local",
    }
    client.create_endpoint_config(EndpointConfigName="segserve", ProductionVariants=[variant])
    try:
        client.create_endpoint(EndpointName="segserve", EndpointConfigName="segserve")
        result = {
            "status": client.describe_endpoint(EndpointName="segserve")["EndpointStatus"],
            "answers": [invoke(session.sagemaker_runtime_client, request) for request in job["requests"]],
        }
    finally:
        client.delete_endpoint(EndpointName="segserve")
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
