"""Ask the server in this container whether it can answer; exits 0 if so.

Written on a bare socket: it runs every few seconds, and an HTTP client takes longer to import than to use.
"""

import os
import socket
import sys
from typing import Final

_TIMEOUT_S: Final = 2
"""C14: SageMaker waits no longer for a ping either."""


def main() -> int:
    """Return 0 if /ping answers 200."""
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or os.environ.get("SERVICE_PORT") or 8080)
    try:
        # Not create_connection: it looks the host up, and imports an encoding for that.
        with socket.socket() as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(("127.0.0.1", port))
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return 0 if connection.recv(64).startswith(b"HTTP/1.1 200") else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
