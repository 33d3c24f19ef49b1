"""What serving loads: none of the heavy libraries, nothing that unpickles."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from service import switching
from tests.conftest import clean_environment

BANNED = ("sklearn", "scipy", "pandas", "polars", "pyarrow", "narwhals", "skops", "joblib", "boto3")

SERVE = """
import gc, sys, threading, urllib.request
from service.cli import run
import service.serving.server as server

def ask(url):
    body = b"[[25, 1250.0]]" * 1
    for content_type, payload in (
        ("application/json", b"[[25, 1250.0]]"),
        ("application/json", b"[" + b",".join([b"[25, 1250.0]"] * 20000) + b"]"),
        ("text/csv", b"Age,Income,Purchases\\n25,1,2\\n"),
        ("application/jsonlines", b"[25, 1250.0]\\n"),
    ):
        request = urllib.request.Request(url + "/invocations", payload, {"Content-Type": content_type,
            "Accept": "application/json; detail=full"})
        assert urllib.request.urlopen(request).status == 200
    pages = ("/", "/console/model", "/console/versions", "/model", "/docs", "/openapi.json")
    for path in ("/ping", "/execution-parameters", *pages):
        assert urllib.request.urlopen(url + path).status == 200
    assert gc.isenabled() and gc.get_freeze_count() > 1_000
    print("\\n".join(sorted({name.split(".")[0] for name in sys.modules})))
    sys.stdout.flush()

def end(url):
    import os, signal
    try:
        ask(url)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)

original = server.serve
def serve(settings, *, on_ready):
    original(settings, on_ready=lambda url: threading.Thread(target=end, args=[url]).start())
server.serve = serve
run(["serve", "--port", "0", "--host", "127.0.0.1", "--store", sys.argv[1]])
"""


FIRST = """
import gc, os, signal, sys, urllib.request
import service.serving.app as app
app._WARM_S = 3600
from service.__main__ import main
import service.commands.start as start

def ask(url):
    def answers():
        try:
            assert urllib.request.urlopen(url + "/ping").status == 200
            request = urllib.request.Request(url + "/invocations", b"[[25, 1250.0]]")
            assert urllib.request.urlopen(request).read() == b"[2]"
            assert gc.isenabled() and gc.get_freeze_count() > 1_000
            print("\\n".join(sorted({name.split(".")[0] for name in sys.modules})), flush=True)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
    import threading
    threading.Thread(target=answers).start()

start._announce = ask
sys.argv[1:] = ["serve", "--port=0", "--host", "127.0.0.1", "--store", sys.argv[1]]
main()
"""


COLLECT = """
import gc
from service.imports import importing

def look():
    print("collects" if gc.isenabled() else "waits")

with importing():
    look()
    with importing():
        look()
    look()
    kept = [[] for _ in range(1000)]
look()
assert gc.get_freeze_count() > 1000
try:
    with importing():
        raise ImportError
except ImportError:
    look()
gc.disable()
with importing():
    pass
look()
"""


TRAIN = """
import sys
from typer.testing import CliRunner
from service.cli import app
result = CliRunner().invoke(app, ["train", sys.argv[1], "--k", "4", "--store", sys.argv[2]])
assert result.exit_code == 0, result.output
assert "cells of 1,000,001 customers" in result.output, result.output
print("\\n".join(sys.modules))
"""


def loaded_modules(code: str, *arguments: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_a_server_that_has_answered_everything_has_loaded_nothing_heavy(store_path: Path) -> None:
    modules = loaded_modules(SERVE, str(store_path))

    assert {"numpy", "simdjson", "uvicorn", "fastapi"} <= modules
    assert not modules & set(BANNED)


def test_the_command_line_starts_without_the_web_framework_and_numbers() -> None:
    modules = loaded_modules(
        "import sys, service.cli; print('\\n'.join({name.split('.')[0] for name in sys.modules}))"
    )

    assert not modules & {"fastapi", "uvicorn", "pydantic_settings", "simdjson", *BANNED}


def test_a_server_answers_its_first_requests_without_the_frameworks(store_path: Path) -> None:
    modules = loaded_modules(FIRST, str(store_path))

    assert {"uvicorn", "httptools", "orjson"} <= modules
    assert not modules & {"fastapi", "starlette", "pydantic", "typer", "rich", "numpy", "simdjson", *BANNED}


def test_more_than_a_million_customers_are_trained_on_without_scikit_learn(tmp_path: Path) -> None:
    """Importing it takes longer than reading and fitting ten million customers."""
    rows = [f"{18 + i % 60},F,{(i * i) % 90_000},{1 + i % 40}" for i in range(1_000_001)]
    customers = tmp_path / "customers.csv"
    customers.write_text("\n".join(["Age,Gender,Income,Purchases", *rows, ""]))

    modules = loaded_modules(TRAIN, str(customers), str(tmp_path / "store"))

    assert "scipy.special" in modules
    assert not modules & {"sklearn", "skops", "joblib", "scipy.stats", "scipy.optimize", "pandas"}


def test_no_garbage_is_looked_for_while_modules_are_imported_and_afterwards_it_is() -> None:
    result = subprocess.run([sys.executable, "-c", COLLECT], capture_output=True, text=True, check=True)

    assert result.stdout.split() == [*["waits"] * 3, *["collects"] * 2, "waits"]


def test_importing_the_package_does_nothing() -> None:
    modules = loaded_modules("import sys, service; print('\\n'.join(sys.modules))")

    assert {name for name in modules if name.startswith("service")} == {"service"}


def test_nothing_in_the_package_can_unpickle() -> None:
    for path in (Path(__file__).parents[1] / "service").rglob("*.py"):
        source = path.read_text()

        assert "import pickle" not in source, path
        assert "joblib" not in source.replace("never joblib", ""), path
        assert "allow_pickle=True" not in source, path


def test_the_clauses_over_http_need_the_standard_library_only() -> None:
    modules = loaded_modules(
        "import sys; before = set(sys.modules); import service.conformance.http_checks\n"
        "print('\\n'.join({name.split('.')[0] for name in set(sys.modules) - before}))"
    )

    assert modules - set(sys.stdlib_module_names) == {"service"}


def test_the_lock_is_given_away_soon_in_the_block_alone() -> None:
    before = sys.getswitchinterval()

    with suppress(KeyError), switching.often():
        assert sys.getswitchinterval() == pytest.approx(switching.SWITCH_INTERVAL_S)
        raise KeyError

    assert sys.getswitchinterval() == before
