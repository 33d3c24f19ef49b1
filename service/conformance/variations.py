"""Start an image again, each time in another of SageMaker's ways: C7, C17, C36, C40, C46, C66."""

import stat
import tempfile
import uuid
from pathlib import Path
from typing import Final

from service.conformance.container import docker
from service.conformance.hosting import Image, Start, ping_status, started
from service.conformance.server import OK
from service.conformance.verdict import NotApplicable, expect
from service.conformance.wire import Address, Answer
from service.contract import BIND_TO_PORT, DEFAULT_PORT, MODEL_DIR, PREFIX

OTHER_PORT: Final = 9090
PORT_LABEL: Final = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
BATCH: Final = {
    "SAGEMAKER_BATCH": "True",
    "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": "6",
    "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "1",
}
"""C47; True with a capital, as the SDK's local mode writes it. Source: AWS guide, "Custom Inference Code with
Batch Transform"."""
UNPRIVILEGED: Final = ("--read-only", "--tmpfs", "/tmp", "--user", "1000:1000", "--shm-size", "64k")  # noqa: S108
LEAST_WAIT_S: Final = 10.0
TIMES_FIRST: Final = 4
"""How much longer than the first start another one may take before it counts as not coming."""
DAMAGE: Final = b"this is not a model"


class Variations:
    """Hold an image whose plain start is known."""

    def __init__(self, image: Image, plain: Start, *, answers: bool, is_reachable: bool) -> None:
        """Look at an image by further starts, where the plain one was healthy.

        Args:
            image: To start.
            plain: How it has started when nothing was odd.
            answers: Whether it then answered a request with 200.
            is_reachable: Whether this machine reaches containers without a published port.
        """
        self.image = image
        self.plain = plain
        self.answers = answers
        self.is_reachable = is_reachable
        self.sent = ""
        self.received = ""

    @property
    def wait_s(self) -> float:
        """Return how long to wait for another start."""
        return min(self.image.start_timeout_s, LEAST_WAIT_S + TIMES_FIRST * self.plain.took_s)

    def need_plain(self) -> None:
        """End a check of an image that is not healthy even when nothing is odd."""
        if not self.plain.is_healthy:
            raise NotApplicable("the plain container is not healthy")

    def show(self, flags: str, start: Start) -> None:
        """Remember a start."""
        self.sent, self.received = f"docker run {flags} {self.image.name} serve", str(start)


def port_can_be_chosen(variations: Variations) -> None:
    """C7."""
    variations.need_plain()
    image = variations.image
    environment = {BIND_TO_PORT: str(OTHER_PORT)}
    with started(
        image,
        environment=environment,
        port=OTHER_PORT,
        other_ports=(DEFAULT_PORT,),
        deadline_s=variations.wait_s,
    ) as start:
        variations.show(f"-e {BIND_TO_PORT}={OTHER_PORT}", start)
        expect(start.is_healthy, f"port {OTHER_PORT} is not answered")
        default = start.container.published(DEFAULT_PORT) if start.container else None
        expect(default is None or ping_status(default) is None, f"port {DEFAULT_PORT} is open too")
    expect(image.label(PORT_LABEL) == "true", f"the label {PORT_LABEL} is missing")


def broken_model_is_not_healthy(variations: Variations) -> None:
    """C17: every file of the model is damaged."""
    variations.need_plain()
    model = variations.image.model
    names = [path.relative_to(model) for path in sorted(model.rglob("*")) if path.is_file()] if model else []
    if not names:
        raise NotApplicable("no model was given whose damage could show")
    with tempfile.TemporaryDirectory(prefix="conform-") as folder:
        damaged = Path(folder) / "model"
        for name in names:
            (damaged / name).parent.mkdir(parents=True, exist_ok=True)
            (damaged / name).write_bytes(DAMAGE)
        _open_to_all(Path(folder))
        volume = f"{damaged}:{PREFIX}/{MODEL_DIR}:ro"
        with started(variations.image, volumes=(volume,), deadline_s=variations.wait_s) as start:
            variations.show(f"-v damaged-model:{PREFIX}/{MODEL_DIR}:ro", start)
            expect(not start.is_healthy, "ping is 200 though every file of the model is damaged")


def missing_model_is_told(variations: Variations) -> None:
    """C36."""
    variations.need_plain()
    with started(variations.image, volumes=(), deadline_s=variations.wait_s) as start:
        variations.show("", start)
        if start.exit_code is None:
            expect(start.ping_status is not None, "it neither answers a ping nor ends")
        else:
            expect(start.exit_code != 0, "it ends with 0, as if all were well")


def no_network_is_needed(variations: Variations) -> None:
    """C40: in a network without a way out, so that pings can come in."""
    variations.need_plain()
    if not variations.is_reachable:
        raise NotApplicable("this machine does not reach containers but by published ports")
    network = f"segserve-conform-{uuid.uuid4().hex[:12]}"
    docker("network", "create", "--internal", network)
    try:
        with started(
            variations.image, flags=("--network", network), is_published=False, deadline_s=variations.wait_s
        ) as start:
            variations.show("--network (internal)", start)
            expect(start.is_healthy, "it is not healthy without a way out of its network")
    finally:
        docker("network", "rm", network, is_checked=False)


def batch_variables_are_taken(variations: Variations) -> None:
    """C46."""
    variations.need_plain()
    with started(variations.image, environment=BATCH, deadline_s=variations.wait_s) as start:
        variations.show(" ".join(f"-e {name}={value}" for name, value in BATCH.items()), start)
        expect(start.is_healthy, "it is not healthy in batch")
        _expect_answer(variations, start)


def unprivileged_user_can_serve(variations: Variations) -> None:
    """C66."""
    variations.need_plain()
    model = variations.image.model
    if model is not None and not _is_open_to_all(model):
        raise NotApplicable("other users may not read the model that was given")
    with started(variations.image, flags=UNPRIVILEGED, deadline_s=variations.wait_s) as start:
        variations.show(" ".join(UNPRIVILEGED), start)
        expect(start.is_healthy, f"it is not healthy: {start}")
        _expect_answer(variations, start)


def _expect_answer(variations: Variations, start: Start) -> None:
    if start.container is None or not variations.answers:
        return
    server = variations.image.server(start.container.address)
    answers = [server.first_answer(sample) for sample in server.samples]
    is_answered = any(isinstance(answer, Answer) and answer.status == OK for answer in answers)
    expect(is_answered, f"the request is not answered with 200: {answers[0]}")


def is_directly_reachable(start: Start) -> bool:
    """Tell whether this machine reaches the container's own address, which is so on Linux."""
    own = start.container.own_ip() if start.container else ""
    return bool(own) and ping_status(Address(own, DEFAULT_PORT)) == OK


def _is_open_to_all(path: Path) -> bool:
    for entry in (path, *path.rglob("*")):
        wanted = stat.S_IROTH | (stat.S_IXOTH if entry.is_dir() else 0)
        if entry.stat().st_mode & wanted != wanted:
            return False
    return True


def _open_to_all(path: Path) -> None:
    for entry in (path, *path.rglob("*")):
        entry.chmod(0o755 if entry.is_dir() else 0o644)


CHECKS: Final = (
    ("C7", port_can_be_chosen),
    ("C17", broken_model_is_not_healthy),
    ("C36", missing_model_is_told),
    ("C40", no_network_is_needed),
    ("C46", batch_variables_are_taken),
    ("C66", unprivileged_user_can_serve),
)
