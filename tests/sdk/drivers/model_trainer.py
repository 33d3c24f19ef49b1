"""Train by the SDK's v3 trainer, which passes no `train`: `model_trainer.py JOB.json RESULT.json`."""

import json
import sys
from pathlib import Path
from typing import Any

from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData
from sagemaker.train.model_trainer import Mode


def main() -> None:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    trainer = ModelTrainer(
        training_mode=Mode.LOCAL_CONTAINER,
        training_image=job["image"],
        base_job_name=job["name"],
        compute=Compute(instance_type="local", instance_count=1),
        hyperparameters=job["hyperparameters"],
        local_container_root=job["root"],
    )
    trainer.train([InputData(channel_name="train", data_source=job["channel"])])
    Path(sys.argv[2]).write_text(json.dumps({"role": trainer.role, "session": trainer.sagemaker_session}))


if __name__ == "__main__":
    main()
