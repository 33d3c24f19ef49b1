"""A container that keeps the contract, but for the one fault in FAULT; `serve` is the default."""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import faulty  # type: ignore[import-not-found]  # lies beside it in the image

FAULT = os.environ.get("FAULT", "")
ML = Path("/opt/ml")
STOPPING = threading.Event()


def stop(*_: object) -> None:
    if FAULT == "drops-in-flight":
        os._exit(0)
    STOPPING.set()


def serve() -> None:
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    if FAULT == "fixed-port":
        port = 8080
    if FAULT == "exits":
        sys.exit("there is nothing to serve")
    if FAULT == "never-ready":
        print("loading", flush=True)  # noqa: T201  # its log
        STOPPING.wait()
        sys.exit(0)
    if FAULT == "needs-root" and os.getuid() != 0:
        sys.exit("not root")
    if FAULT == "case-matters" and os.environ.get("SAGEMAKER_BATCH", "true") not in {"true", "false"}:
        sys.exit("SAGEMAKER_BATCH")
    if FAULT == "downloads" and not can_download():
        sys.exit("no way out")
    check_model()
    if FAULT == "writes":
        with contextlib.suppress(OSError):
            (ML / "scratch").write_text("a")
    if FAULT == "second-port":
        other = socket.create_server(("0.0.0.0", 8099))
        other.listen()
    faulty.Handler.fault = "no-models" if FAULT == "no-models" else ""
    server = faulty.Server(("127.0.0.1" if FAULT == "loopback" else "0.0.0.0", port), faulty.Handler)
    server.daemon_threads = False
    server.block_on_close = True
    threading.Thread(target=server.serve_forever).start()
    if FAULT == "logs-to-file":
        Path("/tmp/server.log").write_text("ready\n")
    else:
        print("ready", flush=True)  # noqa: T201  # its log
    STOPPING.wait()
    server.shutdown()
    server.server_close()


def can_download() -> bool:
    try:
        socket.create_connection((os.environ["DOWNLOAD_FROM"], 8080), timeout=3).close()
    except OSError:
        return False
    return True


def check_model() -> None:
    if FAULT == "static-ping" or os.environ.get("SAGEMAKER_MULTI_MODEL"):
        return
    path = ML / "model" / "model.json"
    if FAULT == "hangs-without-model" and not path.exists():
        STOPPING.wait()
        sys.exit(0)
    try:
        json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        sys.exit(f"no model: {exc}")


def train() -> None:
    files = [path for path in (ML / "input" / "data" / "train").rglob("*") if path.is_file()]
    if FAULT == "needs-config" and not (ML / "input" / "config" / "hyperparameters.json").exists():
        fail("no hyperparameters")
    if FAULT == "training-crashes" or not files:
        fail("no data")
    if FAULT != "forgets-model":
        (ML / "model" / "model.json").write_text("[]")
    if FAULT == "links":
        (ML / "model" / "latest.json").symlink_to("model.json")
    STOPPING.wait(3)


def fail(why: str) -> None:
    if FAULT != "no-failure-file":
        (ML / "output" / "failure").write_text(why)
    sys.exit(0 if FAULT == "failure-is-0" else 1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN if FAULT == "ignores-sigterm" else stop)
    train() if sys.argv[1:] == ["train"] else serve()
