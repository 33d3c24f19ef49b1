"""Open a report in a headless browser and hand back what it became."""

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
)


def open_page(page: bytes, folder: Path, *, width: int, script: str = "") -> tuple[str, str]:
    """Return the page as the browser made it after a script of ours, and what went to the console."""
    path = folder / "page.html"
    start, end = page.rsplit(b"</body>", 1)
    path.write_bytes(start + f"<script>{script}</script></body>".encode() + end)
    result = subprocess.run(
        [
            str(CHROMIUM),
            *FLAGS,
            f"--window-size={width},900",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return result.stdout, "\n".join(line for line in result.stderr.splitlines() if "CONSOLE" in line)
