"""Load, ask and unload models in any order, along the links of the description (schemathesis, stateful)."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings

from fuzz.children import Result
from fuzz.promises import BrokenPromiseError, check
from fuzz.routes import ANSWER_S, look, running
from service.contract import MAX_ERROR_BYTES

_STEPS: Final = 12
"""Requests of one sequence, at the most."""
_MODELS: Final = "/models/"
_CONFIG: Final = schemathesis.config.SchemathesisConfig.from_dict(
    {"phases": {"stateful": {"inference": {"algorithms": []}}}}
)
"""The links are the description's own; none is guessed."""


def fuzz_sequences(store: Path, *, examples: int, random_seed: int) -> Result:
    """Ask a server of many models in sequences; each answer must fit what was loaded before."""
    archive = str(next(store.glob("*/model.tar.gz")))
    with running(store, {"SAGEMAKER_MULTI_MODEL": "true"}) as (url, log, pid):
        started_s = time.monotonic()
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=_CONFIG).include(
            path_regex="^/models"
        )
        counts: Counter[tuple[str, int]] = Counter()
        machine: Any = type(
            "Machine",
            (Models, schema.as_state_machine()),
            {"schema": schema, "archive": archive, "counts": counts},
        )
        failure = ""
        try:
            seed(random_seed)(machine).run(
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=_STEPS,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    phases=[Phase.generate, Phase.shrink],
                )
            )
        except BrokenPromiseError as exc:
            failure = str(exc)
        for asked in (("POST", 200), ("GET", 200), ("DELETE", 200), ("GET", 404)):
            if not failure and not counts[asked]:
                failure = f"no sequence came to {asked[0]} with {asked[1]}"
        return look(
            "sequences of loads",
            log,
            pid,
            accepted=sum(count for (_, status), count in counts.items() if status < 400),
            refused=sum(count for (_, status), count in counts.items() if status >= 400),
            covered=len(counts),
            seconds=time.monotonic() - started_s,
            failure=failure,
        )


class Models:
    """Know which models must be there; beside it a machine that is made from the description."""

    schema: Any
    archive: str
    counts: Counter[tuple[str, int]]

    def setup(self) -> None:
        """Begin with none, also where the sequence before was cut off in the middle of a request."""
        self.loaded: set[str] = set()
        there = self.schema["/models"]["GET"].Case().call(timeout=ANSWER_S * 2).json()
        self._unload(model["modelName"] for model in there["models"])

    def before_call(self, case: Any) -> None:
        """Let what is loaded be a model."""
        if case.operation.path == "/models" and isinstance(case.body, dict) and "url" in case.body:
            case.body = {**case.body, "url": self.archive}

    def get_call_kwargs(self, case: Any) -> dict[str, Any]:  # noqa: ARG002  # the base's signature
        """Wait for no answer without end."""
        return {"timeout": ANSWER_S * 2}

    def validate_response(self, response: Any, case: Any, **_: Any) -> None:
        """Compare an answer with what was loaded and unloaded before it."""
        method, status = case.method.upper(), response.status_code
        self.counts[method, status] += 1
        told = f"{method} {case.operation.path}: {status}"
        check(status < 500, told)
        if status >= 400:
            check(len(response.content) < MAX_ERROR_BYTES, f"{told}, {len(response.content)} bytes")
            check(b"Traceback" not in response.content, f"{told}, with a trace")
        path = unquote(urlsplit(response.request.url).path)
        if path == "/models":
            self._check_load(case, method, status, told)
        elif path.startswith(_MODELS):
            self._check_model(path.removeprefix(_MODELS), method, status, told)

    def teardown(self) -> None:
        """Unload what is left, so that each sequence begins with nothing."""
        self._unload(self.loaded)

    def _unload(self, names: Iterable[str]) -> None:
        for name in names:
            case = self.schema["/models/{name}"]["DELETE"].Case(path_parameters={"name": name})
            case.call(timeout=ANSWER_S * 2)

    def _check_load(self, case: Any, method: str, status: int, told: str) -> None:
        name = case.body.get("model_name") if isinstance(case.body, dict) else None
        if method != "POST" or not isinstance(name, str):
            return
        check((status == 409) == (name in self.loaded and status != 400), f"{told}, another time")
        if status == 200:
            self.loaded.add(name)

    def _check_model(self, name: str, method: str, status: int, told: str) -> None:
        if method == "POST" and name.endswith("/invoke"):
            check((status == 404) == (name.removesuffix("/invoke") not in self.loaded), told)
        elif method in {"GET", "DELETE"}:
            check(status == (200 if name in self.loaded else 404), f"{told}, {name[:40]!r}")
            if method == "DELETE":
                self.loaded.discard(name)
