"""Train by SageMaker's own API, as LocalSession answers it: `train.py JOB.json RESULT.json`."""

import json
import sys
from pathlib import Path
from typing import Any

from sagemaker.core.local import LocalSession


def main() -> None:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    client = LocalSession().sagemaker_client
    client.create_training_job(
        TrainingJobName=job["name"],
        AlgorithmSpecification={"TrainingImage": job["image"], "TrainingInputMode": "File"},
        InputDataConfig=[
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {
                    "FileDataSource": {
                        "FileDataDistributionType": "FullyReplicated",
                        "FileUri": job["channel"],
                    }
                },
            }
        ],
        OutputDataConfig={"S3OutputPath": job["output"]},
        ResourceConfig={"InstanceType": "local", "InstanceCount": job["instances"], "VolumeSizeInGB": 1},
        HyperParameters=job["hyperparameters"],
    )
    description = client.describe_training_job(TrainingJobName=job["name"])
    result = {
        "status": description["TrainingJobStatus"],
        "artifact": description["ModelArtifacts"]["S3ModelArtifacts"],
    }
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
