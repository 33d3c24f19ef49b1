"""Start nginx before gunicorn, as the `serve` program of AWS's scikit_bring_your_own example does."""

import os
import subprocess
from pathlib import Path


def main() -> None:
    """Serve until one of them ends."""
    folder = Path.cwd()
    socket = f"unix:{folder / 'gunicorn.sock'}"
    gunicorn = ["gunicorn", "--timeout", "60", "-k", "gevent", "-b", socket, "-w", os.environ["WORKERS"]]
    processes = [
        subprocess.Popen(["nginx", "-p", str(folder), "-c", "byo_nginx.conf"]),
        subprocess.Popen([*gunicorn, "byo_app:app"]),
    ]
    os.wait()
    for process in processes:
        process.terminate()


if __name__ == "__main__":
    main()
