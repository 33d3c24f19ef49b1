"""Write the pages that follow from the code and its dependencies."""

import ast
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path

from typer.testing import CliRunner

from docs import athena, capacity, licences
from service.cli import app
from service.conformance.clauses import CLAUSES
from service.local.operations import CONTROL, RUNTIME
from service.settings import Settings, defaults, variables
from service.training.pipeline_objects import describe_layouts

COMMANDS = (
    (),
    ("train",),
    ("serve",),
    ("demo",),
    ("score",),
    ("report",),
    ("drift",),
    ("sample-data",),
    ("bench",),
    ("conform",),
    ("models",),
    ("models", "list"),
    ("models", "show"),
    ("models", "compare"),
    ("models", "promote"),
    ("models", "rollback"),
    ("local",),
    ("local", "up"),
    ("local", "down"),
    ("local", "env"),
    ("local", "status"),
    ("models", "push"),
    ("models", "pull"),
    ("models", "keygen"),
    ("models", "sign"),
    ("models", "verify"),
    ("push",),
    ("deploy",),
    ("status",),
    ("invoke",),
    ("update",),
    ("rollback",),
    ("autoscale",),
    ("simulate",),
    ("sql",),
    ("sql", "table"),
    ("sql", "cells"),
    ("sql", "score"),
    ("delete",),
    ("costs",),
)
WIDTH = 100
SETTINGS_INTRODUCTION = (
    "Read from the environment; where a setting has two variables, the first one that is set wins, and an "
    "empty one counts as unset. Options of the command line win over both. Written by `make docs`."
)

CLAUSES_INTRODUCTION = (
    "How to use it: [conform.md](conform.md). What segserve itself does: [contract.md](contract.md). "
    "Written by `make docs`."
)


def render_cli() -> str:
    """Return the help of every command as Markdown."""
    runner = CliRunner(env={"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH), "NO_COLOR": "1"})
    parts = [
        "# Command line",
        "",
        "`segserve COMMAND`, or `python -m service COMMAND`. Written by `make docs`.",
    ]
    for command in COMMANDS:
        result = runner.invoke(app, [*command, "--help"], prog_name="segserve")
        parts += ["", f"## {' '.join(('segserve', *command))}", "", "```", result.output.strip(), "```"]
    parts += [
        "",
        "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 cannot start, 4 a check failed.",
        "",
    ]
    return "\n".join(parts)


def render_settings() -> str:
    """Return every setting, with its variables, default and meaning, as Markdown."""
    parts = [
        "# Settings",
        "",
        SETTINGS_INTRODUCTION,
        "",
        "| variable | default | what |",
        "|---|---|---|",
    ]
    for field, meaning in _field_docs():
        names = ", ".join(f"`{name}`" for name in variables()[field])
        default = defaults()[field]
        shown = (
            "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        parts.append(f"| {names} | {shown} | {meaning} |")
    return "\n".join([*parts, ""])


def render_local_operations() -> str:
    """Return the operations that `segserve local` emulates, with their members, as Markdown."""
    parts = [
        "# Operations of segserve local",
        "",
        "What [`segserve local`](local.md) emulates, member by member of the request. A member that is only",
        "kept is accepted, and shown again where AWS shows it, but changes nothing on your machine.",
        "Any other operation, and any other member, is refused by its name. Written by `make docs`.",
    ]
    for title, operations in (("SageMaker", CONTROL), ("SageMaker Runtime", RUNTIME)):
        parts += ["", f"## {title}", "", "| operation | has effect | is only kept |", "|---|---|---|"]
        for operation in sorted(operations, key=lambda operation: operation.name):
            columns = (_code([operation.name]), _code(operation.honoured), _code(operation.recorded))
            parts.append(f"| {' | '.join(columns)} |")
    return "\n".join([*parts, ""])


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _field_docs() -> Iterator[tuple[str, str]]:
    """Yield each field with the string under it."""
    (definition,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(definition, ast.ClassDef)
    for node, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert isinstance(following, ast.Expr)
            assert isinstance(following.value, ast.Constant)
            yield node.target.id, " ".join(str(following.value.value).split())


def render_clauses() -> str:
    """Return every clause that can be checked from outside, as Markdown."""
    parts = [
        "# The clauses that `segserve conform` checks",
        "",
        CLAUSES_INTRODUCTION,
        "",
        "| clause | | what is asked for | how to mend it | needs | source |",
        "|---|---|---|---|---|---|",
    ]
    for clause in CLAUSES.values():
        cells = (
            clause.id,
            clause.force.value,
            clause.sentence,
            clause.mend,
            clause.needs.value,
            clause.source,
        )
        parts.append(f"| {' | '.join(cells)} |")
    return "\n".join([*parts, ""])


PAGES = {
    "cli.md": render_cli,
    "settings.md": render_settings,
    "conform-clauses.md": render_clauses,
    "local-operations.md": render_local_operations,
    "licences.md": licences.render,
    "capacity.md": capacity.render,
    "athena.md": athena.render,
    "../service/training/pipeline_layouts.json": describe_layouts,
}

if __name__ == "__main__":
    for name, render in PAGES.items():
        Path(__file__).parent.joinpath(name).write_text(render())
