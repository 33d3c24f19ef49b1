"""The memory that is left is the least of what machine and container allow."""

from pathlib import Path

import pytest

from service.serving import memory


def test_this_machine_has_some_memory_left() -> None:
    left = memory.available_bytes()

    assert left is None or 0 < left < 2**50


@pytest.mark.parametrize(
    ("limit", "expected"), [("1000000\n", 1_000_000 - 600_000 + 50_000), ("max\n", 8_000 * 1024)]
)
def test_a_container_s_limit_counts_without_the_pages_that_can_be_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, expected: int
) -> None:
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text("600000\n")
    (tmp_path / "memory.stat").write_text("anon 1\nactive_file 7\ninactive_file 50000\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    names = ("memory.max", "memory.current", "inactive_file")
    monkeypatch.setattr(memory, "_CGROUPS", ((tmp_path, *names), (tmp_path / "absent", *names)))
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")

    assert memory.available_bytes() == expected


def test_where_nothing_tells_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUPS", ())
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "absent")

    assert memory.available_bytes() is None
