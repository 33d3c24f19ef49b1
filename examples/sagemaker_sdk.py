"""Train, deploy and ask the image with the SageMaker SDK 3, then delete all that was made.

Run it whole, or cell by cell in an editor that knows `# %%`. It runs on AWS and against `segserve local`
alike: only the environment differs (docs/sdk.md). Where the SDK needs a way around, a comment says why.
"""

# %% Where: the image, the role that SageMaker takes on, and the place of customers.csv, s3://bucket/prefix
import atexit
import json
import os
from contextlib import ExitStack

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig, S3DataSource
from sagemaker.train import ModelTrainer

image = os.environ["SEGSERVE_IMAGE"]
role = os.environ["SEGSERVE_ROLE"]
place = os.environ["SEGSERVE_PLACE"].rstrip("/")
instance_type = "ml.m5.xlarge"

session = Session()

# The SDK reports each call, with the account's number, to AWS, unless its configuration says no.
session.sagemaker_config.setdefault("SchemaVersion", "1.0")
python_sdk = session.sagemaker_config.setdefault("SageMaker", {}).setdefault("PythonSDK", {})
python_sdk.setdefault("Modules", {})["TelemetryOptOut"] = True

# What was made is deleted even if a later cell fails and the program or the notebook's kernel ends.
made = ExitStack()
atexit.register(made.close)

# %% Train
trainer = ModelTrainer(
    sagemaker_session=session,
    role=role,
    training_image=image,
    base_job_name="segments",
    hyperparameters={"k": 3, "transform": "log1p"},
    compute=Compute(instance_type=instance_type, instance_count=1, volume_size_in_gb=1),
    # Without a place of its own the trainer asks STS at AWS's address, whatever AWS_ENDPOINT_URL says.
    output_data_config=OutputDataConfig(s3_output_path=f"{place}/trained"),
)
customers = S3DataSource(s3_data_type="S3Prefix", s3_uri=f"{place}/customers.csv")
# With logs=True the wait needs CloudWatch Logs. A job that fails says why without them.
trainer.train([InputData(channel_name="train", data_source=customers)], logs=False)
job = trainer._latest_training_job  # noqa: SLF001  # train() returns nothing
artifact = job.model_artifacts.s3_model_artifacts
print(f"Trained {artifact}")

# %% Deploy
# ModelBuilder makes the same three calls, but waits by CloudWatch Logs and takes no file:// address.
name = job.training_job_name
model = Model.create(
    model_name=name,
    primary_container=ContainerDefinition(image=image, model_data_url=artifact),
    execution_role_arn=role,
)
made.callback(model.delete)
variant = ProductionVariant(
    variant_name="AllTraffic", model_name=name, instance_type=instance_type, initial_instance_count=1
)
configuration = EndpointConfig.create(endpoint_config_name=name, production_variants=[variant])
made.callback(configuration.delete)
endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
made.callback(endpoint.delete)
endpoint.wait_for_status("InService")
print(f"Deployed {name}")

# %% Predict
# Endpoint's own serializers send neither Content-Type nor Accept: say both, and bring the bytes.
records = [[25, 1250.0], [45, 3000.5]]
response = endpoint.invoke(
    body=json.dumps(records), content_type="application/json", accept="application/json"
)
print(f"Segments {json.loads(response.body.read())}")

# %% Delete: what predictor.delete_endpoint() did in version 2, and the model
# Endpoint.delete() leaves its configuration and its model behind; these are deleted here, too.
made.close()
endpoint.wait_for_delete()
print(f"Deleted {name}")
