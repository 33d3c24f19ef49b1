"""Show results and progress to a person, or results as JSON to a program."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

OnProgress = Callable[[str, int, int], None]
"""Takes a stage, and how much of it is done of how much."""

_WIDTH: Final = 160
"""Of a table in a file or a pipe, where no line needs to be folded."""


def console() -> "Console":
    """Return the console for results: plain text where stdout is not a terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)


def print_json(document: Mapping[str, Any] | list[Any]) -> None:
    """Print a document for programs."""
    sys.stdout.write(f"{json.dumps(document, indent=2, ensure_ascii=False)}\n")


class ProgressBar:
    """Show how far each stage is, on stderr and only where that is a terminal."""

    def __init__(self, progress: "Progress") -> None:
        """Draw on a running display."""
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move a stage's bar; the stage appears at its first call."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=max(total, 1))
        self._progress.update(self._tasks[stage], completed=done, total=max(total, 1))


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Show progress while the block runs; nothing remains of it."""
    if not sys.stderr.isatty():
        yield lambda _stage, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield ProgressBar(progress)
