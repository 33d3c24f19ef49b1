"""Make trees like /opt/ml: made-up customers in four clear groups, and SageMaker's configuration."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GROUPS: Final = ((25, 1000), (25, 5000), (60, 1000), (60, 5000))
"""Age and Spending_Power at the middle of each group; the model must tell them apart."""
PARTS: Final = ("a.csv", "nested/b.csv", "nested/deeper/c.csv")
SEED: Final = 20261123
HYPERPARAMETERS: Final = {
    "k": "4",
    "transform": "none",
    "seed": "7",
    "sagemaker_program": '"train.py"',
    "_tuning_objective_metric": "silhouette",
}
"""Strings, as SageMaker gives them."""

RECORDS: Final = json.dumps(GROUPS).encode()
CSV_RECORDS: Final = "".join(f"{age},{power}\n" for age, power in GROUPS).encode()
JSON_LINE_RECORDS: Final = "".join(f"[{age},{power}]\n" for age, power in GROUPS).encode()


def customers(count: int) -> list[str]:
    """Return CSV lines without a header, evenly from all groups."""
    draw = random.Random(SEED)
    lines = []
    for number in range(count):
        age, power = GROUPS[number % len(GROUPS)]
        purchases = draw.randint(1, 40)
        income = power * purchases * draw.uniform(0.9, 1.1)
        lines.append(f"{age + draw.randint(-4, 4)},{income:.2f},{purchases}\n")
    return lines


@dataclass(frozen=True, slots=True)
class JobTree:
    """Hold the tree of a training job."""

    prefix: Path

    @property
    def model(self) -> Path:
        return self.prefix / "model"

    @property
    def output(self) -> Path:
        return self.prefix / "output"

    @property
    def config(self) -> Path:
        return self.prefix / "input" / "config"

    @property
    def data(self) -> Path:
        return self.prefix / "input" / "data"

    def failure(self) -> str:
        return (self.output / "failure").read_text()

    def configure(self, name: str, document: object) -> None:
        self.config.mkdir(parents=True, exist_ok=True)
        (self.config / f"{name}.json").write_text(json.dumps(document))


def job_tree(
    prefix: Path,
    *,
    hyperparameters: Mapping[str, str] | None = HYPERPARAMETERS,
    records: int = 600,
    channel: str = "train",
    mode: str = "File",
) -> JobTree:
    """Write a tree as SageMaker lays it out; without hyperparameters there is no configuration at all."""
    tree = JobTree(prefix)
    for folder in (tree.model, tree.output, tree.data / channel):
        folder.mkdir(parents=True)
    lines = customers(records)
    for number, name in enumerate(PARTS if records else ()):
        path = tree.data / channel / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Age,Income,Purchases\n" + "".join(lines[number :: len(PARTS)]))
        (path.parent / "_SUCCESS").touch()
    if hyperparameters is not None:
        tree.configure("hyperparameters", hyperparameters)
        tree.configure("inputdataconfig", {channel: {"TrainingInputMode": mode, "ContentType": "text/csv"}})
        tree.configure("resourceconfig", resources("algo-1"))
    return tree


def resources(current: str, *hosts: str) -> dict[str, object]:
    """Return what SageMaker says about the hosts of a job."""
    return {
        "current_host": current,
        "hosts": list(hosts) or [current],
        "current_instance_type": "ml.m5.xlarge",
        "current_group_name": "homogeneousCluster",
        "network_interface_name": "eth0",
    }
