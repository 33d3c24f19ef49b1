"""Tell the other workers that something has changed, and wait until they know (C69: memory freed on return).

Each worker listens on a datagram socket in a folder that all share; there is no second port (C8).
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 2.0
_MAX_MESSAGE_BYTES: Final = 64
_TOLD: Final = b"told"
_DONE: Final = b"done"
_ENDING: Final = ".sock"

_logger = logging.getLogger(__name__)


class Peers:
    """Hold this worker's socket."""

    def __init__(self, folder: Path, *, on_told: Callable[[], None]) -> None:
        """Listen from now on; call it from the event loop.

        Args:
            folder: Of the sockets.
            on_told: Called when another worker has changed something; the other waits until it returns.
        """
        self._folder = folder
        self._on_told = on_told
        self._own = f"{os.getpid()}{_ENDING}"
        self._awaited: dict[bytes, tuple[set[str], asyncio.Event]] = {}
        self._told = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        (folder / self._own).unlink(missing_ok=True)
        self._socket.bind(str(folder / self._own))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._receive)

    async def tell(self) -> None:
        """Tell every other worker and wait until each has acted on it, or for two seconds."""
        self._told += 1
        message = b"%b %d" % (_TOLD, self._told)
        waiting: set[str] = set()
        everyone = asyncio.Event()
        self._awaited[b"%d" % self._told] = (waiting, everyone)
        key = b"%d" % self._told
        waiting |= {path.name for path in self._folder.glob(f"*{_ENDING}") if self._send(message, path)}
        try:
            if waiting:
                await asyncio.wait_for(everyone.wait(), _PATIENCE_S)
        except TimeoutError:
            # They learn of it before they answer their next request; only their memory is freed later.
            _logger.warning("Workers are slow to learn of a change workers=%d", len(waiting))
        finally:
            del self._awaited[key]

    def _send(self, message: bytes, path: Path) -> bool:
        """Send to another worker; False where there is none any more."""
        if path.name == self._own:
            return False
        try:
            self._socket.sendto(message, str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)  # it has died
            return False
        except OSError:
            return False  # it is too busy to be told
        return True

    def _receive(self) -> None:
        message, sender = self._socket.recvfrom(_MAX_MESSAGE_BYTES)
        word, _, key = message.partition(b" ")
        path = Path(sender)
        if word == _TOLD:
            self._on_told()
            self._send(b"%b %b" % (_DONE, key), path)
        elif key in self._awaited:
            waiting, everyone = self._awaited[key]
            waiting.discard(path.name)
            if not waiting:
                everyone.set()
