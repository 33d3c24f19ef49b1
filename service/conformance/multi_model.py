"""Check the state machine of multi-model endpoints: C69."""

import json
from typing import Any, Final
from urllib.parse import quote

from service.conformance.server import OK, Server
from service.conformance.verdict import NotApplicable, expect

MODELS_PATH: Final = "/models"
NAMES: Final = ("conformance-a", "conformance-b")
MISSING: Final = "conformance-none"
NOT_FOUND: Final = 404
CONFLICT: Final = 409
MOST_PAGES: Final = 1000
MULTI_MODEL: Final = "SAGEMAKER_MULTI_MODEL"
LABEL: Final = "com.amazonaws.sagemaker.capabilities.multi-models"


def models_come_and_go(server: Server, model_url: str) -> None:
    """C69: load, load again, list, describe, invoke, unload, and all of it with a model that is not there."""
    for name in NAMES:  # what an earlier run may have left
        server.ask("DELETE", f"{MODELS_PATH}/{name}")
    _expect(server, NOT_FOUND, "GET", f"{MODELS_PATH}/{MISSING}", "to describe a model that is not loaded")
    _expect(server, NOT_FOUND, "DELETE", f"{MODELS_PATH}/{MISSING}", "to unload a model that is not loaded")
    _expect(server, NOT_FOUND, "POST", _invoke_path(MISSING), "to invoke a model that is not loaded")
    for name in NAMES:
        _load(server, name, model_url, OK, "to load a model")
    _load(server, NAMES[0], model_url, CONFLICT, "to load a model that is loaded")
    listed = _list(server)
    for name in NAMES:
        expect(listed.get(name) == model_url, f"GET {MODELS_PATH} does not list {name} with its URL")
        card = _expect(server, OK, "GET", f"{MODELS_PATH}/{name}", "to describe a model")
        is_right = (
            isinstance(card, dict) and card.get("modelName") == name and card.get("modelUrl") == model_url
        )
        expect(is_right, f"the description of {name} lacks its modelName or modelUrl")
    _invoke(server, NAMES[0])
    _expect(server, OK, "DELETE", f"{MODELS_PATH}/{NAMES[0]}", "to unload a model")
    for method, path in (("GET", f"{MODELS_PATH}/{NAMES[0]}"), ("POST", _invoke_path(NAMES[0]))):
        _expect(server, NOT_FOUND, method, path, "after a model was unloaded")
    expect(NAMES[0] not in _list(server), f"GET {MODELS_PATH} lists a model that was unloaded")
    _invoke(server, NAMES[1])
    _expect(server, OK, "DELETE", f"{MODELS_PATH}/{NAMES[1]}", "to unload the other model")


def _load(server: Server, name: str, url: str, status: int, what: str) -> None:
    body = json.dumps({"model_name": name, "url": url}).encode()
    answer = server.ask("POST", MODELS_PATH, body, {"Content-Type": "application/json"})
    expect(
        answer.status == status, f"POST {MODELS_PATH} {what} is answered with {answer.status}, not {status}"
    )


def _expect(server: Server, status: int, method: str, path: str, what: str) -> Any:
    if method == "POST":
        sample = server.samples[0]
        answer = server.ask(method, path, sample.body, {"Content-Type": sample.content_type})
    else:
        answer = server.ask(method, path)
    expect(answer.status == status, f"{method} {path} {what} is answered with {answer.status}, not {status}")
    return answer.json()


def _invoke(server: Server, name: str) -> None:
    """Expect that one of the requests is answered; a default one may be foreign to the model."""
    statuses = []
    for sample in server.samples:
        headers = {"Content-Type": sample.content_type, "X-Amzn-SageMaker-Target-Model": name}
        statuses.append(server.ask("POST", _invoke_path(name), sample.body, headers).status)
        if statuses[-1] == OK:
            return
    expect(False, f"POST {_invoke_path(name)} is answered with {', '.join(map(str, statuses))}")


def _invoke_path(name: str) -> str:
    return f"{MODELS_PATH}/{name}/invoke"


def _list(server: Server) -> dict[str, str]:
    """Return the URL of each listed model, over all pages."""
    models: dict[str, str] = {}
    path = MODELS_PATH
    for _ in range(MOST_PAGES):
        answer = server.ask("GET", path)
        page = answer.json()
        expect(answer.status == OK, f"GET {path} is answered with {answer.status}")
        expect(
            isinstance(page, dict) and isinstance(page.get("models"), list),
            f"GET {path} has no list of models",
        )
        for model in page["models"]:
            is_named = isinstance(model, dict) and isinstance(model.get("modelName"), str)
            expect(is_named, "a listed model has no modelName")
            models[model["modelName"]] = str(model.get("modelUrl"))
        token = page.get("nextPageToken")
        if not token:
            return models
        path = f"{MODELS_PATH}?next_page_token={quote(str(token), safe='')}"
    raise NotApplicable(f"more than {MOST_PAGES} pages of models")
