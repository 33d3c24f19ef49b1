"""No secret, and no customer's record, is in anything that a server says to its log or to those who ask."""

import json
from pathlib import Path

import httpx
import pytest

from service.signing import PrivateKey
from service.store import Store
from tests.conftest import DEADLINE_S, Starter
from tests.serving.conftest import run_serve

TOKEN = "CANARY-token-0123456789abcdef"
SECRETS = {
    "SERVICE_TOKEN": TOKEN,
    "AWS_ACCESS_KEY_ID": "AKIACANARYCANARY0001",
    "AWS_SECRET_ACCESS_KEY": "CANARYsecretCANARYsecretCANARYsecretCANA",
    "AWS_SESSION_TOKEN": "CANARYsessionCANARYsession",
    "DATABASE_PASSWORD": "CANARY-password",
}
PATHS = (
    *("/", "/model", "/live", "/metrics", "/docs", "/console/model", "/console/versions"),
    "/openapi.json?token=CANARY",
)
RECORD = "73.125"
POWER = "918273.75"
"""Numbers that nothing but the payload has."""
PAYLOADS = (
    ("application/json", f"[[{RECORD}, {POWER}]]"),
    ("application/json", f"[[{RECORD}, -{POWER}]]"),
    ("application/json", f'[{{"Age": "{RECORD} CANARY", "Spending_Power": {POWER}}}]'),
    ("application/json", f'{{"CANARY": {RECORD}'),
    ("text/csv", f"Age,Spending_Power\n{RECORD},{POWER}CANARY\n"),
    ("text/csv", f"CANARY,{RECORD}\n"),
    ("application/x-npy", f"CANARY{RECORD}"),
    ("application/CANARY", f"{RECORD}"),
)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_nothing_secret_is_logged_or_told(
    start: Starter, store_path: Path, log_format: str, workers: str
) -> None:
    server = start(
        *("--store", str(store_path), "--workers", workers),
        **SECRETS,
        SERVICE_LOG_LEVEL="debug",
        SERVICE_LOG_FORMAT=log_format,
        SERVICE_S3_ENDPOINT="http://127.0.0.1:9",
        SERVICE_ASYNC_OUTPUT="s3://bucket/prefix",
    )
    told = []
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer CANARY-wrong"}):
            told += [client.get(path, headers=headers).text for path in PATHS]
            for content_type, body in PAYLOADS:
                for path in ("/invocations", "/endpoints/a/invocations", "/endpoints/a/async-invocations"):
                    answer = client.post(
                        path,
                        content=body,
                        headers={
                            **headers,
                            "Content-Type": content_type,
                            "X-Amzn-SageMaker-InputLocation": "s3://bucket/CANARY",
                        },
                    )
                    told.append(answer.text)
    assert server.stop() == 0
    log = server.log.read_text()

    assert "Ready on" in log
    assert log.count("\n") > len(PAYLOADS)
    for text in (log, *told):
        for secret in (*SECRETS.values(), "CANARY-wrong", POWER):
            assert secret not in text, secret
    assert "CANARY" not in log.replace("application/CANARY", ""), "neither payloads nor queries"
    assert RECORD not in log


def test_a_start_that_fails_tells_no_secret(store_path: Path, tmp_path: Path) -> None:
    key = PrivateKey.generate()
    private = key.pem.split("\n")[1]
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(Store(store_path).resolve().read_bytes()[:-9])
    for variables in (
        {"SERVICE_TRUSTED_KEYS": key.pem},
        {"SERVICE_PORT": "eighty"},
        {"SERVICE_TOKEN": "CANARY"},
        {"SERVICE_MODEL": str(archive)},
        {"SERVICE_TOKEN_SCOPE": "all"},
    ):
        done = run_serve("--store", str(store_path), **{**SECRETS, "SERVICE_LOG_LEVEL": "debug", **variables})

        assert done.returncode in {2, 3}, variables
        output = json.dumps([done.stdout, done.stderr])
        assert private not in output
        assert "CANARY" not in output
        assert "Traceback" not in output
