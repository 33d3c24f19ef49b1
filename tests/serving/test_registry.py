"""What one worker loads or unloads all know: the journal, its locks, and its being written anew."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.serving import registry
from service.serving.registry import Entry, Registry, SharedRegistry


class Worker:
    """Hold a registry and what it was told to forget."""

    def __init__(self, path: Path) -> None:
        self.forgotten: list[str] = []
        self.registry = SharedRegistry(path, on_removed=self.forgotten.append)

    def add(self, name: str, digest: str = "d") -> Entry:
        with self.registry.changing():
            return self.registry.add(name, url=f"/{name}", digest=digest)

    def remove(self, name: str) -> None:
        with self.registry.changing():
            self.registry.remove(name)

    def names(self) -> list[str]:
        self.registry.refresh()
        return [entry.name for entry in self.registry.page(after=0, size=1_000_000)]


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_each_worker_knows_what_another_has_changed(path: Path) -> None:
    first, second = Worker(path), Worker(path)
    entry = first.add("a")
    second.add("b")
    first.remove("a")

    assert first.names() == second.names() == ["b"]
    assert first.forgotten == ["a"]
    assert second.forgotten == ["a"]
    assert entry == Entry("a", "/a", "d", 1)


def test_a_look_tells_whether_something_has_changed(path: Path) -> None:
    first, second = Worker(path), Worker(path)
    before = second.registry.is_current()
    first.add("a")

    assert before
    assert not second.registry.is_current()
    assert first.registry.is_current()
    assert second.names() == ["a"]
    assert second.registry.is_current()


def test_a_worker_that_starts_later_knows_all(path: Path) -> None:
    first = Worker(path)
    for name in "abc":
        first.add(name)
    first.remove("b")

    assert Worker(path).names() == ["a", "c"]


def test_a_model_that_was_loaded_anew_is_another_one(path: Path) -> None:
    first, second = Worker(path), Worker(path)
    first.add("a", "old")
    second.names()
    first.remove("a")
    first.add("a", "new")
    second.registry.refresh()
    entry = second.registry.get("a")

    assert second.forgotten == ["a"]
    assert entry == Entry("a", "/a", "new", 2)


@pytest.mark.parametrize("reader_looks", [True, False])
def test_the_journal_stays_small_and_is_read_right_when_it_is_written_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, reader_looks: bool
) -> None:
    monkeypatch.setattr(registry, "_COMPACT_BYTES", 2000)
    writer, reader = Worker(path), Worker(path)
    writer.add("kept")
    reader.names()
    for number in range(2000):
        writer.add("a", str(number))
        if reader_looks:
            assert reader.names() == ["kept", "a"]
        writer.remove("a")

    assert reader.names() == writer.names() == Worker(path).names() == ["kept"]
    assert path.stat().st_size < 20_000
    assert writer.add("last").serial == 2002
    assert reader.names() == ["kept", "last"]


def test_a_model_that_went_while_the_journal_was_written_anew_is_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_COMPACT_BYTES", 2000)
    writer, reader = Worker(path), Worker(path)
    writer.add("gone")
    writer.add("kept")
    reader.names()
    writer.remove("gone")
    for number in range(500):
        writer.add("a", str(number))
        writer.remove("a")

    assert reader.names() == ["kept"]
    assert "gone" in reader.forgotten
    assert "kept" not in reader.forgotten


class DeathError(Exception):
    """The worker ends here."""


class DyingHeader:
    """Let a worker die before it says that what it has written counts."""

    unpack_from = registry._HEADER.unpack_from

    def pack_into(self, *_: object) -> None:
        raise DeathError


@pytest.mark.parametrize("rewrites", [1, 2, 3])
def test_who_dies_while_it_writes_the_journal_anew_leaves_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, rewrites: int
) -> None:
    first = Worker(path)
    for name in "abcdef":
        first.add(name)
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_COMPACT_BYTES", 0)
        patch.setattr(registry, "_COMPACT_RATIO", 0)
        for _ in range(rewrites):
            first.remove("a")
            first.add("a")
        patch.setattr(registry, "_HEADER", DyingHeader())
        with pytest.raises(DeathError):
            first.add("g")

    assert sorted(Worker(path).names()) == list("abcdef")
    second = Worker(path)
    second.add("h")
    assert sorted(Worker(path).names()) == list("abcdefh")


def test_a_line_that_was_never_finished_does_not_count(path: Path) -> None:
    first = Worker(path)
    first.add("a")
    with path.open("ab") as file:
        file.write(b'["half')
    first.add("b")

    assert Worker(path).names() == ["a", "b"]


def test_pages_hold_what_stays_loaded_once_each_in_the_order_of_loading() -> None:
    entries = Registry(on_removed=lambda _: None)
    for number in range(10):
        entries.add(f"m{number}", url="/", digest="d")
    first = entries.page(after=0, size=4)
    entries.remove("m3")  # the last one of that page
    entries.remove("m5")
    second = entries.page(after=first[-1].serial, size=100)

    assert [entry.name for entry in (*first, *second)] == [
        "m0",
        "m1",
        "m2",
        "m3",
        "m4",
        "m6",
        "m7",
        "m8",
        "m9",
    ]


WRITER = """
import sys
from pathlib import Path
from service.serving.registry import SharedRegistry
registry = SharedRegistry(Path(sys.argv[1]), on_removed=lambda name: None)
won = 0
for number in range(300):
    with registry.changing():
        if registry.get(f"m{number}") is None:
            registry.add(f"m{number}", url="/", digest=sys.argv[2])
            won += 1
print(won)
"""


def test_of_several_processes_that_load_the_same_name_one_wins(path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)], stdout=subprocess.PIPE)
        for number in range(3)
    ]
    won = [int(process.communicate(timeout=60)[0]) for process in processes]

    assert sum(won) == 300
    assert len(Worker(path).names()) == 300
