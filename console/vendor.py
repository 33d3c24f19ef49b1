"""Copy the console's libraries out of node_modules, or check that the copies are what is pinned.

    npm ci --prefix console && python3 console/vendor.py [--check]

No build step: they are ES modules as their authors publish them. Only what a browser cannot resolve is
changed: the bare name "preact", and the names of source maps that are not served.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PACKAGES: Final = HERE / "node_modules"
VENDOR: Final = HERE.parent / "service" / "serving" / "static" / "vendor"
SOURCES: Final[Mapping[str, str]] = {
    "preact.js": "preact/dist/preact.mjs",
    "preact-hooks.js": "preact/hooks/dist/hooks.mjs",
    "htm.js": "htm/dist/htm.mjs",
    "preact-LICENSE.txt": "preact/LICENSE",
    "htm-LICENSE.txt": "htm/LICENSE",
}


def main() -> int:
    """Write the copies, or with --check tell which differ; return the exit code."""
    copies = {name: _copy(PACKAGES / source) for name, source in SOURCES.items()}
    copies["versions.json"] = _versions()
    if "--check" not in sys.argv[1:]:
        VENDOR.mkdir(parents=True, exist_ok=True)
        for name, text in copies.items():
            (VENDOR / name).write_text(text, encoding="utf-8")
        return 0
    found = {path.name: path.read_text(encoding="utf-8") for path in VENDOR.iterdir()}
    stale = sorted(name for name in copies.keys() | found.keys() if copies.get(name) != found.get(name))
    for name in stale:
        sys.stderr.write(f"{VENDOR / name} is not what the pinned packages hold: run console/vendor.py\n")
    return 1 if stale else 0


def _copy(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".mjs":
        return text
    text = re.sub(r"\n//# sourceMappingURL=\S+\s*$", "", text)
    return re.sub(r"""from\s*["']preact["']""", 'from"./preact.js"', text).rstrip() + "\n"


def _versions() -> str:
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    names = sorted({source.split("/")[0] for source in SOURCES.values()})
    return json.dumps({name: lock[f"node_modules/{name}"]["version"] for name in names}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
