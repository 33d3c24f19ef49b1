"""C34 to C45: model files, environment, isolation, logs, metrics."""

import json
import re
from pathlib import Path

import pytest

from tests.conformance.conftest import ISOLATED, Starter, only_in_a_container
from tests.conformance.containers import ContainerRun, ContainerTarget, docker
from tests.conformance.targets import PORT, Launch, Outcome, Server, Target, run
from tests.conformance.trees import RECORDS, JobTree
from tests.conformance.wire import JSON, ask, invoke, status_of, wait_until

PING_INSIDE = """
import http.client, sys
try:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
    connection.request("GET", "/ping")
    print(connection.getresponse().status)
except OSError:
    print(0)
"""


@pytest.mark.clause("C34")
def test_c34_serving_leaves_the_model_as_it_is(start: Starter, prefix_path: Path) -> None:
    model = prefix_path / "model"
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in model.rglob("*")}
    running = start(Launch(prefix_path))
    wait_until(lambda: status_of(running.address) == 200, what="a healthy ping")
    invoke(running.address, RECORDS)

    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in model.rglob("*")} == before


@pytest.mark.clause("C123")
@only_in_a_container
def test_c123_the_image_writes_nowhere_but_to_tmp(tuned_server: Server) -> None:
    """Mount points are all that may be new elsewhere; plain Docker runs the health check too."""
    assert isinstance(tuned_server.running, ContainerRun)
    invoke(tuned_server.address, RECORDS)
    kind, *health_check = tuned_server.running.inspect()["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    docker("exec", tuned_server.running.name, *health_check)

    changed = {line.split()[1] for line in docker("diff", tuned_server.running.name).stdout.splitlines()}
    assert {path for path in changed if not path.startswith("/tmp")} <= {"/opt", "/opt/ml", "/opt/ml/model"}


@pytest.mark.clause("C35")
def test_c35_the_model_folder_holds_only_files_at_its_root(job: tuple[JobTree, Outcome]) -> None:
    entries = list(job[0].model.rglob("*"))

    assert entries
    assert [path for path in entries if path.is_symlink() or not path.is_file()] == []
    assert {path.parent for path in entries} == {job[0].model}


@pytest.mark.clause("C36")
def test_c36_without_a_model_the_server_says_so_and_is_not_healthy(start: Starter, tmp_path: Path) -> None:
    running = start(Launch(tmp_path, mounts={}))
    wait_until(
        lambda: running.exit_code() is not None or status_of(running.address) is not None,
        what="an exit or an answer",
    )

    assert running.exit_code() not in {None, 0} or status_of(running.address) == 503
    assert "model" in running.output()
    assert "Traceback" not in running.output()


@pytest.mark.clause("C38")
def test_c38_as_many_and_as_long_variables_as_allowed_are_taken(tuned_server: Server) -> None:
    assert status_of(tuned_server.address) == 200


@pytest.mark.clause("C38")
@pytest.mark.parametrize(
    ("name", "value"),
    [("SAGEMAKER_MODEL_SERVER_WORKERS", "many"), ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/html")],
)
def test_c38_a_bad_value_ends_the_start_with_its_name(
    target: Target, prefix_path: Path, name: str, value: str
) -> None:
    outcome = run(target, Launch(prefix_path, environment={name: value}))

    assert outcome.exit_code != 0
    assert name in outcome.output
    assert value in outcome.output
    assert "Traceback" not in outcome.output


@pytest.mark.clause("C39")
def test_c39_nothing_is_needed_in_the_environment(server: Server) -> None:
    """The shared server is started with what no server can do without: a path, and as a process a port."""
    assert invoke(server.address, RECORDS).status == 200


@pytest.mark.clause("C40", "C128", "C129", "C7")
def test_c40_the_image_serves_without_network_on_a_tty(container: ContainerTarget, prefix_path: Path) -> None:
    running = container.run(Launch(prefix_path, environment={PORT: "9090"}, flags=ISOLATED))

    def ping_inside(port: int) -> int:
        return int(running.inside("python", "-c", PING_INSIDE, str(port)))

    try:
        wait_until(lambda: ping_inside(9090) == 200, what="a healthy ping")
        default_port = ping_inside(8080)
        output = running.output()
    finally:
        running.remove()

    assert default_port == 0
    assert "Traceback" not in output


@pytest.mark.clause("C41")
@pytest.mark.parametrize("body", [RECORDS, b"{"], ids=["answered", "refused"])
def test_c41_each_request_has_a_log_line_while_the_server_runs(server: Server, body: bytes) -> None:
    name = f"conformance-c41-{len(body)}"
    invoke(server.address, body, X_Amzn_SageMaker_Inference_Id=name)

    wait_until(lambda: name in server.running.output(), what="the line", deadline_s=10)
    lines = [line for line in server.running.output().splitlines() if name in line]
    assert len(lines) == 1
    stamp = json.loads(lines[0])["time"] if lines[0].startswith("{") else lines[0]
    assert re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", stamp)


@pytest.mark.clause("C42")
def test_c42_metrics_are_prometheus_text(server: Server) -> None:
    invoke(server.address, RECORDS)
    answer = ask(server.address, "GET", "/metrics")

    assert answer.status == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    samples = [line for line in answer.body.decode().splitlines() if line and not line.startswith("#")]
    assert samples
    assert all(re.fullmatch(r"[a-zA-Z_:][\w:]*(\{[^}]*\})? \S+( \d+)?", line) for line in samples)


@pytest.mark.clause("C43")
@pytest.mark.parametrize(("path", "status"), [("/v1/chat/completions", 404), ("/v1/models", 404), ("/", 405)])
def test_c43_paths_of_other_contracts_are_a_clean_404(server: Server, path: str, status: int) -> None:
    """Or a 405, where a page for people is there to GET."""
    answer = ask(server.address, "POST", path, b'{"messages": []}', {"Content-Type": JSON})

    assert answer.status == status
    assert answer.json()["error"]["code"]


@pytest.mark.clause("C44", "C116")
def test_c44_the_image_is_for_linux_on_amd64(container: ContainerTarget) -> None:
    image = container.inspect()

    assert (image["Os"], image["Architecture"]) == ("linux", "amd64")


@pytest.mark.clause("C45")
def test_c45_numerical_libraries_get_one_thread_each(container: ContainerTarget) -> None:
    assert "OMP_NUM_THREADS=1" in container.inspect()["Config"]["Env"]
