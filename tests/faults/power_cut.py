"""Cut the power at every step of everything that writes a store, and look what is left: prints JSON.

Usage: python -m tests.faults.power_cut STORE FOLDER [--disk] [--only OPERATION]...

Each operation runs once for each of its system calls that change something, and is killed as it begins that
one. With --disk the store lies on a file system of its own, and what is looked at is what the disk had at
that moment: what the system still had in memory is lost, as when the power goes. That needs root.
"""

import argparse
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.artifact import Provenance, read_artifact
from service.errors import ServiceError
from service.store import Store
from tests.faults.tracer import run_until

PROVENANCE = Provenance(python="3.11", libraries={}, git_revision=None, data_digest="0" * 64)
DISK_MIB = 6


class Bench:
    """Set up stores, run what is to be cut, and check what is left."""

    def __init__(self, source: Path, folder: Path, *, has_disk: bool) -> None:
        self.folder = folder
        self.has_disk = has_disk
        self.archive = Store(source).resolve()
        self.files = read_artifact(self.archive).files
        self.foreign = self.archive.parent.name
        self.template = folder / "template"
        self.image = folder
        self.cuts = 0
        store = Store(self.template)
        self.old = self.add(store)
        self.new = self.add(store)
        store.promote(self.old)

    def add(self, store: Store) -> str:
        return store.add(self.files, provenance=PROVENANCE)

    def operations(self) -> dict[str, Callable[[Store], object]]:
        return {
            "add": self.add,
            "receive": lambda store: store.receive(self.archive, version=self.foreign),
            "promote": lambda store: store.promote(self.new),
            "rollback": lambda store: (store.promote(self.new), store.rollback()),
            "first add": lambda store: self.add(Store(store.root / "deeper" / "models")),
        }

    @contextmanager
    def store(self) -> Iterator[Path]:
        """Provide a copy of the template; on a disk of its own where that is asked for."""
        root = self.folder / "root"
        if not self.has_disk:
            shutil.copytree(self.template, root / "models")
            yield root / "models"
            shutil.rmtree(root)
            return
        if not (blank := self.folder / "template.img").exists():
            with blank.open("wb") as file:
                file.truncate(DISK_MIB * 2**20)
            run("mkfs.ext4", "-q", "-F", "-J", "size=1", str(blank))
            with mounted(blank, root):
                shutil.copytree(self.template, root / "models")
        # Never the same file twice: a loop device that is not quite gone yet would show what it remembers.
        self.cuts += 1
        self.image = self.folder / f"disk-{self.cuts}.img"
        shutil.copyfile(blank, self.image)
        with mounted(self.image, root):
            yield root / "models"
        self.image.unlink()

    @contextmanager
    def after(self, root: Path) -> Iterator[Path]:
        """Provide the store as it is found after the cut."""
        if not self.has_disk:
            yield root
            return
        survived = self.image.with_suffix(".survived.img")
        shutil.copyfile(self.image, survived)
        with mounted(survived, self.folder / "survived"):
            yield self.folder / "survived" / "models"
        survived.unlink()

    def cut(self, name: str, step: int) -> tuple[bool, str, list[str]]:
        """Run an operation up to a step; return whether it was killed there, at what, and what is wrong."""
        with self.store() as root:
            run = run_until(step, lambda: self.operations()[name](Store(root)))
            problems = [] if run.was_killed or run.code == 0 else [f"ended with {run.code}"]
            with self.after(root) as left:
                problems += self.problems(name, left, is_done=not run.was_killed)
        return run.was_killed, run.steps[-1] if run.steps else "", problems

    def problems(self, name: str, root: Path, *, is_done: bool) -> list[str]:
        """Return what is wrong with a store."""
        try:
            return list(self._problems(name, root, is_done=is_done))
        except (ServiceError, OSError) as exc:
            return [f"{type(exc).__name__}: {exc}"]

    def _problems(self, name: str, root: Path, *, is_done: bool) -> Iterator[str]:
        store = Store(root)
        versions = store.versions()
        for version in versions:
            read_artifact(store.resolve(version))
        if lost := {self.old, self.new} - set(versions):
            yield f"lost {lost}"
        production = {store.production()}
        if not production <= {self.old, self.new}:
            yield f"in production is {production}"
        deeper = Store(root / "deeper" / "models")
        is_there = {
            "add": len(versions) == 3,
            "receive": self.foreign in versions,
            "promote": production == {self.new},
            "rollback": production == {self.old},
            "first add": len(deeper.versions()) == 1,
        }
        if is_done and not is_there[name]:
            yield f"{name} was done, and nothing of it is there"
        yield from self._after(store, *([deeper] if name == "first add" else []))

    def _after(self, *stores: Store) -> Iterator[str]:
        """Go on with stores as their next user does, and tell what they keep of the cut."""
        for each in stores:
            added = self.add(each)
            if each.latest() != added:
                yield f"the newest is {each.latest()}, not {added}"
            if left := [path.name for path in each.root.glob(".unfinished-*")]:
                yield f"left behind: {left}"


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[None]:
    at.mkdir(exist_ok=True)
    run("mount", "-o", "loop", str(image), str(at))
    try:
        yield
    finally:
        run("umount", str(at))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def main(source: Path, folder: Path, *, has_disk: bool, only: list[str]) -> None:
    bench = Bench(source, folder, has_disk=has_disk)
    found = {}
    for name in only or bench.operations():
        steps, problems, step, was_killed = [], {}, 0, True
        while was_killed:
            step += 1
            was_killed, call, wrong = bench.cut(name, step)
            steps.append(call if was_killed else "done")
            if wrong:
                problems[f"{step} {call}"] = wrong
        found[name] = {"steps": steps, "problems": problems}
    print(json.dumps(found))  # noqa: T201  # what the test reads


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--disk", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    given = parser.parse_args()
    main(given.store, given.folder, has_disk=given.disk, only=given.only)
