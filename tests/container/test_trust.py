"""The image verifies signatures, as SageMaker would run it: keys in the environment, the model unpacked."""

import shutil
from pathlib import Path

import pytest

from service.signing import PrivateKey, sign_artifact
from tests.container.engine import container, run_to_end


@pytest.fixture(name="key", scope="module")
def _key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(name="signed_mount")
def _signed_mount(tmp_path: Path, model_dir: Path, key: PrivateKey) -> tuple[str, ...]:
    folder = tmp_path / "signed"
    shutil.copytree(model_dir, folder)
    folder.chmod(0o755)
    tmp_path.chmod(0o755)
    sign_artifact(folder, key.sign)
    return ("--volume", f"{folder}:/opt/ml/model:ro", "--publish", "127.0.0.1::8080")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signed_model_is_served(
    image: str, signed_mount: tuple[str, ...], key: PrivateKey, workers: str
) -> None:
    keys = ("--env", f"SERVICE_TRUSTED_KEYS={key.public.pem}", "--env", f"SERVICE_WORKERS={workers}")
    with container(image, "serve", options=(*signed_mount, *keys, "--network", "bridge")) as running:
        running.wait_until_ready()

        assert running.answers()


def test_an_unsigned_model_is_not(image: str, mount: tuple[str, ...], key: PrivateKey) -> None:
    code, output = run_to_end(
        image, "serve", options=(*mount, "--env", f"SERVICE_TRUSTED_KEYS={key.public.pem}")
    )

    assert code == 3
    assert "is not signed" in output


def test_another_key_is_not_enough(image: str, signed_mount: tuple[str, ...]) -> None:
    other = PrivateKey.generate().public.pem
    code, output = run_to_end(
        image, "serve", options=(*signed_mount, "--env", f"SERVICE_TRUSTED_KEYS={other}")
    )

    assert code == 3
    assert "none of the trusted keys" in output


def test_a_container_is_reached_from_outside_whatever_starts_it(image: str, mount: tuple[str, ...]) -> None:
    """Without the image's own word for it, and not as process 1."""
    options = (*mount, "--init", "--env", "SERVICE_HOST=")
    with container(image, "serve", options=options) as running:
        running.wait_until_ready()

        assert running.answers()
