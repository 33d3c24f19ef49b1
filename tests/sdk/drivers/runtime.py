"""Call an endpoint of the SDK's own object: `runtime.py JOB.json RESULT.json`."""

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from sagemaker.core.resources import Endpoint


def main() -> None:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    endpoint = Endpoint(endpoint_name="segments")
    session = boto3.Session(region_name="us-east-1")
    plain = endpoint.invoke(body=job["body"], session=session, region="us-east-1")
    csv = endpoint.invoke(
        body=job["body"],
        content_type="application/json",
        accept="text/csv",
        session=session,
        region="us-east-1",
    )
    result = [plain.body.read().decode(), csv.body.read().decode(), csv.content_type]
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
