"""Hold the servers to compare with: `python -m bench.apps NAME PORT ARTIFACT [WORKERS]`."""

import sys
import tarfile
from typing import Any, Final

import uvicorn

_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"3")],
}
_BODY: Final = {"type": "http.response.body", "body": b"[0]"}


async def hello(_scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer the same few bytes: the least that a server on uvicorn can do."""
    while (await receive()).get("more_body", False):
        pass
    await send(_START)
    await send(_BODY)


async def copy(_scope: Any, receive: Any, send: Any) -> None:
    """Answer a copy of the body: the least that a server on uvicorn can do with all of its bytes."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    body = b"".join(parts)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def fastapi_hello() -> Any:
    """Return the least application that FastAPI can start."""
    from fastapi import FastAPI  # noqa: PLC0415  # start-up is measured

    app = FastAPI()

    @app.get("/ping")
    def ping() -> None:
        return None

    return app


def plain(artifact_path: str) -> Any:
    """Return what a tutorial would write around the pipeline of a model artifact."""
    import skops.io  # noqa: PLC0415  # start-up is measured
    from fastapi import FastAPI  # noqa: PLC0415

    with tarfile.open(artifact_path) as archive:
        member = archive.extractfile("pipeline.skops")
        if member is None:
            raise FileNotFoundError("pipeline.skops")
        pipeline = skops.io.loads(member.read())
    app = FastAPI()

    @app.get("/ping")
    def ping() -> None:
        return None

    @app.post("/invocations")
    def invocations(data: list[list[float]]) -> list[int]:
        labels: list[int] = pipeline.predict(data).tolist()
        return labels

    return app


def main(name: str, port: str, artifact_path: str, workers: str = "1") -> None:
    """Serve one of the applications until it is killed; more than one worker need a process each."""
    match name:
        case "hello" | "copy" if workers != "1":
            app: Any = f"bench.apps:{name}"
        case "hello":
            app = hello
        case "copy":
            app = copy
        case "fastapi_hello":
            app = fastapi_hello()
        case "plain":
            app = plain(artifact_path)
        case _:
            sys.exit(f"there is no application {name!r}")
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        workers=int(workers),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
