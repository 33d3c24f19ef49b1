"""What is in the image, and what SageMaker reads off it before it starts one (C2 to C7, C44, C64, C115)."""

import json
from typing import Any

import pytest

from tests.container.engine import docker

INITS = {"tini", "dumb-init", "init", "s6-svscan", "catatonit"}
SHELLS = {"sh", "bash", "dash"}

LOAD_EVERY_LIBRARY = """
import ctypes, pathlib
for path in pathlib.Path("/opt/segserve").rglob("*.so*"):
    ctypes.CDLL(str(path))
    print(path)
"""
LIST_UNCOMPILED = """
import importlib, json, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
modules = [m for m in sys.modules.values() if str(getattr(m, "__cached__", "")).endswith(".pyc")]
print(json.dumps([len(modules), [m.__name__ for m in modules if not os.path.exists(m.__cached__)]]))
"""


def run_python(image: str, code: str, *arguments: str) -> str:
    return docker("run", "--rm", "--entrypoint", "python", image, "-c", code, *arguments).stdout


def test_entry_point_gets_the_signals(inspected: Any) -> None:
    entry_point = inspected["Config"]["Entrypoint"]

    assert entry_point == ["python", "-m", "service"]
    assert entry_point[0].rpartition("/")[2] not in INITS | SHELLS
    assert inspected["Config"]["Cmd"] == ["serve"]


def test_user_is_root_as_sagemaker_wants(inspected: Any) -> None:
    assert inspected["Config"]["User"] in {"", "root", "0"}


def test_labels_announce_what_the_service_does_and_nothing_else(inspected: Any) -> None:
    labels = inspected["Config"]["Labels"]
    capabilities = {name.rpartition(".")[2] for name in labels if name.startswith("com.amazonaws.sagemaker.")}

    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert capabilities == {"accept-bind-to-port", "multi-models"}
    assert labels["com.amazonaws.sagemaker.capabilities.multi-models"] == "false"
    for name in ("title", "description", "version", "revision"):
        assert labels[f"org.opencontainers.image.{name}"]


def test_platform_is_that_of_the_instances(inspected: Any) -> None:
    assert (inspected["Os"], inspected["Architecture"]) == ("linux", "amd64")


def test_manifest_is_one_that_sagemaker_takes(inspected: Any) -> None:
    """An engine without the containerd store describes nothing and pushes docker's schema 2."""
    media_type = inspected.get("Descriptor", {}).get("mediaType", "")

    assert media_type in {"", "application/vnd.docker.distribution.manifest.v2+json"}


def test_image_stays_small(inspected: Any) -> None:
    assert inspected["Size"] < 440e6


def test_code_is_a_layer_of_its_own(image: str) -> None:
    rows = docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", image).stdout
    copies = [row for row in map(json.loads, rows.splitlines()) if row["CreatedBy"].startswith("COPY")]

    code, dependencies, base = copies
    assert "/base" in base["CreatedBy"]
    assert int(code["Size"]) < 5e6
    assert int(dependencies["Size"]) > 100e6


def test_sagemakers_tree_is_not_in_the_image(image: str) -> None:
    assert run_python(image, "import os; print(os.path.exists('/opt/ml'))").strip() == "False"


def test_one_port_is_exposed_and_nothing_is_a_volume(inspected: Any) -> None:
    assert list(inspected["Config"]["ExposedPorts"]) == ["8080/tcp"]
    assert not inspected["Config"].get("Volumes")


def test_environment_names_no_registry_and_no_secret(inspected: Any) -> None:
    names = {variable.partition("=")[0] for variable in inspected["Config"]["Env"]}

    assert {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH"} <= names
    assert not [name for name in names if name.startswith(("PIP_", "UV_", "AWS_")) or "PROXY" in name.upper()]


def test_every_library_still_loads_after_strip(image: str) -> None:
    assert len(run_python(image, LOAD_EVERY_LIBRARY).splitlines()) > 100


@pytest.mark.parametrize(
    "modules",
    [
        ("service.serving.server", "service.commands.serve", "uvicorn.loops.uvloop", "uvicorn.lifespan.on"),
        ("service.training.job", "service.training.score", "service.commands.train"),
    ],
    ids=["serve", "train"],
)
def test_everything_imported_is_compiled(image: str, modules: tuple[str, ...]) -> None:
    imported, uncompiled = json.loads(run_python(image, LIST_UNCOMPILED, "service.cli", *modules))

    assert imported > 200
    assert uncompiled == []
