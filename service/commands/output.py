"""Show results and progress to a person, or results as JSON to a program."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_WIDTH: Final = 160
"""Of a table in a file or a pipe, where no line needs to be folded."""


def console() -> Console:
    """Return the console for results: plain text where stdout is not a terminal."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)


def print_json(document: Mapping[str, Any] | list[Any]) -> None:
    """Print a document for programs."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


class ProgressBar:
    """Show how far each stage is, on stderr and only where that is a terminal."""

    def __init__(self, progress: Progress) -> None:
        """Draw on a running display."""
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move a stage's bar; the stage appears at its first call."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=max(total, 1))
        self._progress.update(self._tasks[stage], completed=done, total=max(total, 1))


@contextmanager
def progress_bar() -> Iterator[ProgressBar]:
    """Show progress while the block runs; nothing remains of it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        yield ProgressBar(progress)
