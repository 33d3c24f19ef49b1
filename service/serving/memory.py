"""Tell how much memory is left: the least of what the machine and the container's limit allow."""

from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUPS: Final = (
    # Limit, usage, statistics, and the statistics' name of file pages that can be given back.
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_bytes() -> int | None:
    """Return what a process may still take, None where nothing tells."""
    found = [
        value for value in (_machine(), *(_container(*names) for names in _CGROUPS)) if value is not None
    ]
    return min(found, default=None)


def _machine() -> int | None:
    value = _field(_MEMINFO, "MemAvailable:")
    return None if value is None else value * 1024


def _container(folder: Path, limit_name: str, usage_name: str, reclaimable_name: str) -> int | None:
    try:
        limit = (folder / limit_name).read_text().strip()
        usage = int((folder / usage_name).read_text())
    except (OSError, ValueError):
        return None
    if not limit.isdigit():  # "max"
        return None
    return int(limit) - usage + (_field(folder / "memory.stat", reclaimable_name) or 0)


def _field(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.split()[0] == name), None)
