"""Run batch transform jobs, one after the other: `transform.py JOB.json RESULT.json`."""

import json
import sys
from pathlib import Path
from typing import Any

from sagemaker.core.local import LocalSession


def transform(client: Any, job: dict[str, Any]) -> dict[str, str]:
    """Return what became of a job; one that fails leaves its container to its caller."""
    try:
        client.create_transform_job(
            TransformJobName=job["name"],
            ModelName="segserve",
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": job["input"]}},
                "ContentType": job["content_type"],
                "SplitType": "Line",
            },
            TransformOutput={
                "S3OutputPath": job["output"],
                "Accept": job["content_type"],
                "AssembleWith": "Line",
            },
            TransformResources={"InstanceType": "local", "InstanceCount": 1},
            **job["options"],
        )
    except (RuntimeError, ValueError) as exc:
        client._transform_jobs[job["name"]].container.stop_serving()  # there is no public way
        return {"status": "Failed", "error": str(exc)}
    description = client.describe_transform_job(TransformJobName=job["name"])
    return {"status": description["TransformJobStatus"], "strategy": description["BatchStrategy"]}


def main() -> None:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    client = LocalSession().sagemaker_client
    client.create_model(
        ModelName="segserve",
        PrimaryContainer={"Image": job["image"], "ModelDataUrl": job["model"], "Environment": {}},
    )
    result = {transformation["name"]: transform(client, transformation) for transformation in job["jobs"]}
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
