"""Load, list, describe, unload and invoke many models in one server (C68, C69).

The registry says what is loaded; a worker reads a model when a request first needs it there.
"""

import asyncio
import contextlib
import gc
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote

import orjson

from service import contract
from service.errors import (
    ArtifactError,
    InsufficientMemoryError,
    InvalidModelError,
    InvalidPayloadError,
    InvocationError,
    ModelAlreadyLoadedError,
    ModelNotFoundError,
    ModelNotLoadedError,
    ModelNotReadyError,
)
from service.serving.asgi import Receive, Scope, Send, send_answer, send_reply
from service.serving.fastlane import FastLane
from service.serving.headers import read_headers
from service.serving.invocation import Invocation, ServedModel, refuse
from service.serving.loading import read_model_at
from service.serving.memory import available_bytes
from service.serving.peers import Peers
from service.serving.registry import Entry, Registry, SharedRegistry
from service.serving.signals.routes import COUNTED
from service.settings import Settings

PAGE_SIZE: Final = 100
MAX_NAME: Final = 1024
"""Characters; as many as X-Amzn-SageMaker-Target-Model may have."""

_MODELS: Final = f"{contract.MODELS_PATH}/"
_INVOKE: Final = "/invoke"
_JOURNAL: Final = "journal"
_THREADS: Final = 2
_FREEZE_EVERY: Final = 64
"""Loads between two collections, which then see the newest models alone: milliseconds, where a look at ten
thousand models holds up all requests for half a second."""

_logger = logging.getLogger(__name__)


class MultiModel:
    """Hold the models of a multi-model endpoint."""

    def __init__(self, lane: FastLane, settings: Settings) -> None:
        """Begin with none, or with what the other workers have loaded."""
        self._lane = lane
        self._settings = settings
        self._registry: Registry
        self._short_cuts = lane.short_cuts
        if settings.registry is None:
            self._registry = Registry(on_removed=self._forget)
        else:
            shared = SharedRegistry(settings.registry / _JOURNAL, on_removed=self._forget)
            self._registry = shared
            self._short_cuts = lane.short_cuts = _SharedShortCuts(shared)
        self._peers: Peers | None = None
        self._kept = 0
        self._reading: dict[Entry, asyncio.Task[ServedModel]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="model")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to /models or below."""
        path, method = scope["path"], scope["method"]
        self._registry.refresh()
        name = path.removeprefix(_MODELS)
        try:
            if path == contract.MODELS_PATH and method == "POST":
                await self._load(scope, receive, send)
            elif path == contract.MODELS_PATH and method == "GET":
                await _send_json(send, self._list(scope["query_string"]))
            elif path == contract.MODELS_PATH:
                await self._lane.refuse_method(send, allowed="GET, POST")
            elif name.endswith(_INVOKE) and method == "POST":
                await self._invoke(name.removesuffix(_INVOKE), scope, receive, send)
            elif method == "GET":
                await _send_json(send, _describe(self._entry(name)))
            elif method == "DELETE":
                await self._unload(name, send)
            else:
                await self._lane.refuse_method(send, allowed="GET, DELETE, or POST with /invoke")
        except InvocationError as exc:
            _logger.warning("Request to %s refused code=%s", contract.MODELS_PATH, exc.code)
            reply = refuse(exc, version="none")
            await send_answer(send, reply.status, reply.headers, reply.body)

    async def find_target(self, target: str) -> ServedModel:
        """Return the model that a caller of the runtime API targets, loading it where SageMaker would.

        A target is a loaded model's name, or the path of a model below the models' folder.

        Raises:
            ModelNotLoadedError: It is neither.
            InvalidModelError: It is no model.
            InsufficientMemoryError: There is no room for it.
        """
        self._registry.refresh()
        if self._registry.get(target) is None:
            folder = self._settings.models_dir
            path = folder / target
            if not _is_below(path, folder):
                raise ModelNotLoadedError(
                    f"no model is loaded as {target[:80]!a}, and there is none at that path in {folder}"
                )
            with contextlib.suppress(ModelAlreadyLoadedError):  # another request was faster
                await self._add(target, url=str(path))
        return await self._served(self._entry(target))

    async def _load(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._lane.read_payload(receive, read_headers(scope["headers"]))
        if body is not None:
            name, url = _read_request(body)
            await self._add(name, url=url)
            await send_answer(send, 200, (), b"")

    def _list(self, query: bytes) -> dict[str, Any]:
        token = parse_qs(query.decode("latin-1")).get("next_page_token", ["0"])[0]
        if not (token.isascii() and token.isdigit() and len(token) < 20):
            raise InvalidPayloadError("next_page_token must be one that a page of models came with")
        entries = self._registry.page(after=int(token), size=PAGE_SIZE + 1)
        page = entries[:PAGE_SIZE]
        more = {"nextPageToken": str(page[-1].serial)} if len(entries) > len(page) else {}
        return {"models": [_describe(entry) for entry in page], **more}

    async def _invoke(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        started_s = time.perf_counter()
        headers = read_headers(scope["headers"])
        scope[COUNTED] = True
        try:
            model = await self._served(self._entry(name))
        except InvocationError as exc:
            reply: Invocation | None = self._lane.refuse(exc, headers, None, bytes_in=0, started_s=started_s)
        else:
            reply = await self._lane.answer_request(receive, headers, model)
        if reply is not None:
            await send_reply(send, reply)

    async def _unload(self, name: str, send: Send) -> None:
        with self._registry.changing():
            self._entry(name)
            self._registry.remove(name)
        if peers := self._listen():
            await peers.tell()
        _logger.info("Model unloaded models=%d name=%a", len(self._registry), name[:80])
        await send_answer(send, 200, (), b"")

    async def _add(self, name: str, *, url: str) -> None:
        self._refuse_full(name)
        if (left := available_bytes()) is not None and left < self._settings.memory_reserve_mb * 2**20:
            raise InsufficientMemoryError(
                f"{left // 2**20} MiB of memory are left, and SERVICE_MEMORY_RESERVE_MB keeps "
                f"{self._settings.memory_reserve_mb} of them free: unload a model first"
            )
        try:
            served, digest = await self._read(url)
        except ModelNotFoundError as exc:
            raise ModelNotLoadedError(str(exc)) from exc
        except ArtifactError as exc:
            raise InvalidModelError(str(exc)) from exc
        except MemoryError:
            raise InsufficientMemoryError("there is not enough memory for another model") from None
        self._listen()
        with self._registry.changing():
            self._refuse_full(name)
            self._registry.add(name, url=url, digest=digest)
        self._keep(name, served)
        _logger.info(
            "Model loaded models=%d name=%a version=%s", len(self._registry), name[:80], served.version
        )

    def _refuse_full(self, name: str) -> None:
        """Raise where the name is taken, or where there are as many models as there may be."""
        if self._registry.get(name):
            raise ModelAlreadyLoadedError("a model of this name is loaded already")
        limit = self._settings.max_models
        if limit is not None and len(self._registry) >= limit:
            raise InsufficientMemoryError(
                f"{limit} models are loaded, as many as SERVICE_MAX_MODELS allows: unload one first"
            )

    def _entry(self, name: str) -> Entry:
        entry = self._registry.get(name)
        if entry is None:
            raise ModelNotLoadedError(f"no model is loaded as {name[:80]!a}")
        return entry

    async def _served(self, entry: Entry) -> ServedModel:
        """Return a loaded model, reading it where only another worker has done so."""
        served = self._short_cuts.get(_invoke_path(entry.name))
        if served is not None:
            return served
        if entry not in self._reading:
            self._reading[entry] = asyncio.create_task(self._read_again(entry))
            self._reading[entry].add_done_callback(lambda _: self._reading.pop(entry))
        return await asyncio.shield(self._reading[entry])

    async def _read_again(self, entry: Entry) -> ServedModel:
        try:
            served, digest = await self._read(entry.url)
        except (ModelNotFoundError, ArtifactError) as exc:
            raise ModelNotReadyError(f"the model cannot be read any more: {exc}") from exc
        if digest != entry.digest:
            raise ModelNotReadyError(
                "the model's files are not those that were loaded: unload it, and load it"
            )
        self._listen()
        self._registry.refresh()
        if self._registry.get(entry.name) != entry:
            raise ModelNotLoadedError("the model was unloaded meanwhile")
        self._keep(entry.name, served)
        return served

    def _keep(self, name: str, served: ServedModel) -> None:
        """Hold a model, and spare the garbage collector the sight of all that are held."""
        self._short_cuts[_invoke_path(name)] = served
        self._kept += 1
        if self._kept % _FREEZE_EVERY == 0:
            gc.collect()
            gc.freeze()  # what is unloaded is still freed, as its last reference goes

    async def _read(self, url: str) -> tuple[ServedModel, str]:
        # Not as the future's result: asyncio and concurrent.futures keep that in a cycle of references, and
        # so in memory after the model is unloaded.
        found: list[tuple[ServedModel, str]] = []
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, lambda: found.append(read_model_at(url, self._settings)))
        return found.pop()

    def _forget(self, name: str) -> None:
        self._short_cuts.pop(_invoke_path(name), None)

    def _listen(self) -> Peers | None:
        """Let other workers reach this one from the first model that it holds; None where there are none."""
        if self._peers is None and self._settings.registry is not None:
            self._peers = Peers(self._settings.registry, on_told=self._registry.refresh)
        return self._peers


class _SharedShortCuts(dict[bytes, ServedModel]):
    """Look whether other workers have changed something before anything is found."""

    def __init__(self, registry: SharedRegistry) -> None:
        super().__init__()
        self._registry = registry

    def get(self, path: bytes, default: Any = None, /) -> Any:
        self._registry.refresh()
        return super().get(path, default)


def _is_below(path: Path, folder: Path) -> bool:
    """Tell whether there is something at a path, and it leads out of no folder."""
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.exists()
    except (OSError, ValueError):  # a name that is too long, or a loop of links
        return False


def _read_request(body: bytes) -> tuple[str, str]:
    """Return name and place of the model that is to be loaded."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    name, url = (document.get(key) for key in ("model_name", "url")) if isinstance(document, dict) else (0, 0)
    if not (isinstance(name, str) and isinstance(url, str)):
        raise InvalidPayloadError('POST /models takes {"model_name": TEXT, "url": PATH}')
    if not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise InvalidPayloadError(f"model_name must have 1 to {MAX_NAME} printable characters")
    if not url.startswith(("/", "file:///")):
        raise InvalidPayloadError("url must be an absolute path on this machine")
    return name, url


def _invoke_path(name: str) -> bytes:
    """Return the path under which a model is invoked as most clients write it."""
    return f"{_MODELS}{quote(name, safe='')}{_INVOKE}".encode()


def _describe(entry: Entry) -> dict[str, str]:
    return {"modelName": entry.name, "modelUrl": entry.url}


async def _send_json(send: Send, document: dict[str, Any]) -> None:
    await send_answer(send, 200, ((b"content-type", b"application/json"),), orjson.dumps(document))
