"""Run the contract checks against this server, in a process of their own, and pass their verdicts on."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import orjson

COMMAND: Final = (sys.executable, "-m", "service", "conform")
"""A command, not an import: serving and conformance do not know each other."""

_TIMEOUT_S: Final = 300
_MAX_LINE: Final = 1 << 20
_USAGE: Final = 2
_DETAILS: Final = ("detail", "reason", "mend")


class ContractCheck:
    """Run `segserve conform` against a URL, one run at a time."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        """Take the command, which gets the URL and --json."""
        self._command = tuple(command)
        self._lock = asyncio.Lock()

    @property
    def is_running(self) -> bool:
        """Tell whether a run is under way."""
        return self._lock.locked()

    async def run(self, url: str) -> AsyncIterator[bytes]:
        """Yield a line of JSON for each verdict, and one with `state` at the end.

        The end is {"state": "done" | "unavailable" | "failed", "sentence"}.
        """
        async with self._lock:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                url,
                "--json",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_MAX_LINE,
            )
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    async for line in self._verdicts(process):
                        yield line
            except TimeoutError:
                yield _line(state="failed", sentence=f"the checks took longer than {_TIMEOUT_S} s")
            finally:
                # Also when whoever asked has gone.
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _verdicts(self, process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
        """Yield verdicts as they come: one a line, or all in one document."""
        if process.stdout is None or process.stderr is None:
            raise AssertionError("both are piped")
        complaint = asyncio.create_task(process.stderr.read())
        count, rest = 0, []
        async for line in process.stdout:
            found = _read_verdicts(line)
            if not found:
                rest.append(line)
            for verdict in found:
                count += 1
                yield _line(**verdict)
        for verdict in _read_verdicts(b"".join(rest)):
            count += 1
            yield _line(**verdict)
        yield _ending(await process.wait(), count=count, complaint=await complaint)


def _ending(code: int, *, count: int, complaint: bytes) -> bytes:
    """Say how a run ended; a failed clause makes the exit code 1."""
    if count:
        return _line(state="done", sentence=f"{count} verdicts")
    if code == _USAGE and b"No such command" in complaint:
        return _line(state="unavailable", sentence="this segserve has no command 'conform'")
    return _line(
        state="failed", sentence=f"'segserve conform' gave no verdict and ended with exit code {code}"
    )


def _read_verdicts(text: bytes) -> list[dict[str, Any]]:
    """Return the verdicts in a JSON document: one, a list, or a list under any name."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    if isinstance(document, dict) and "clause" not in document:
        document = next((value for value in document.values() if _is_verdicts(value)), [])
    candidates = document if isinstance(document, list) else [document]
    return [
        _plain(item)
        for item in candidates
        if isinstance(item, dict) and "clause" in item and ("verdict" in item or "outcome" in item)
    ]


def _plain(verdict: Mapping[str, Any]) -> dict[str, str]:
    """Return what the page shows of a verdict."""
    details = [str(verdict[key]) for key in _DETAILS if verdict.get(key)]
    return {
        "clause": str(verdict["clause"]),
        "verdict": str(verdict.get("verdict") or verdict.get("outcome")),
        "sentence": str(verdict.get("sentence", "")),
        "detail": ". ".join(details),
    }


def _is_verdicts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "clause" in value[0]


def _line(**fields: str) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
