"""Deploy by the SDK's v3 builder in its local mode: `model_builder.py JOB.json RESULT.json`.

Without AWS it needs a bucket that seems to be there, and an image that need not be pulled.
"""

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from sagemaker.core.helper.session_helper import Session
from sagemaker.serve import ModelBuilder
from sagemaker.serve.mode.function_pointers import Mode
from sagemaker.serve.mode.local_container_mode import (
    LocalContainerMode,
)


def offline_session() -> Any:
    """Return a session that asks S3 for its bucket and is told that it is there."""
    buckets = {"Buckets": [{"Name": "segserve", "CreationDate": "2026-11-23"}]}
    session = boto3.Session()
    session.events.register("before-call.s3", lambda **_: (AWSResponse("", 200, {}, None), buckets))
    return Session(boto_session=session, default_bucket="segserve")


def main() -> None:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    # It pulls whatever it is given, even what is on this machine alone; there is no public way around.
    LocalContainerMode._pull_image = lambda *_arguments, **_named: None
    builder = ModelBuilder(
        image_uri=job["image"],
        model_path=job["model"],
        mode=Mode.LOCAL_CONTAINER,
        role_arn="arn:aws:iam::111122223333:role/segserve",
        sagemaker_session=offline_session(),
    )
    built = builder.build(model_name="segserve")
    try:
        builder.deploy_local(endpoint_name="segserve")
    except AttributeError as exc:
        error = str(exc)
    else:
        error = ""
    result = {"image": built.primary_container.image, "error": error}
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
