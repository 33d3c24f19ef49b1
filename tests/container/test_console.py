"""The console in a container as locked down as can be: no user, nothing writable, no network."""

import json
from pathlib import Path
from typing import Any

from tests.container.engine import Container, container

LOCKED = (
    *("--read-only", "--network", "none", "--user", "65534:65534"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)
ASK = """
import json, re, urllib.request as u
root = "http://127.0.0.1:8080"
page = u.urlopen(root + "/").read().decode()
names = re.findall(r'(?:src|href)="([^"]+)"', page)
sizes = {name: len(u.urlopen(f"{root}/{name}").read()) for name in names}
card = json.load(u.urlopen(root + "/console/model"))
lines = u.urlopen(u.Request(root + "/console/conformance", b"")).read().splitlines()
print(json.dumps({"sizes": sizes, "version": card["model_version"], "end": json.loads(lines[-1])}))
"""


def test_the_page_is_there_in_a_locked_down_container(image: str, model_dir: Path) -> None:
    options = (*LOCKED, "--volume", f"{model_dir}:/opt/ml/model:ro")
    with container(image, "serve", options=options) as running:
        running.wait_until_ready()
        answer = ask(running)

    assert len(answer["sizes"]) >= 6
    assert all(answer["sizes"].values())
    assert answer["version"]
    # The checks ran to a verdict, or the command is not in this image; they did not fail to start.
    assert answer["end"]["state"] in {"done", "unavailable"}, answer["end"]


def ask(running: Container) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(running.run_inside("python", "-c", ASK))
    return found
