"""Write the pages that follow from the code: `docs/cli.md` and `docs/settings.md`."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from typer.testing import CliRunner

from service.cli import app
from service.settings import Settings, variables

COMMANDS = (
    (),
    ("train",),
    ("serve",),
    ("demo",),
    ("score",),
    ("sample-data",),
    ("models",),
    ("models", "list"),
    ("models", "show"),
    ("models", "promote"),
    ("models", "rollback"),
    ("models", "push"),
    ("models", "pull"),
    ("push",),
    ("deploy",),
    ("status",),
    ("invoke",),
    ("update",),
    ("rollback",),
    ("autoscale",),
    ("delete",),
    ("costs",),
)
WIDTH = 100
SETTINGS_INTRODUCTION = (
    "Read from the environment; where a setting has two variables, the first one that is set wins, and an "
    "empty one counts as unset. Options of the command line win over both. Written by `make docs`."
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
    parts += ["", "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 cannot start.", ""]
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
        default = Settings.model_fields[field].default
        shown = (
            "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        parts.append(f"| {names} | {shown} | {meaning} |")
    return "\n".join([*parts, ""])


def _field_docs() -> Iterator[tuple[str, str]]:
    """Yield each field with the string under it."""
    (definition,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(definition, ast.ClassDef)
    for node, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert isinstance(following, ast.Expr)
            assert isinstance(following.value, ast.Constant)
            yield node.target.id, " ".join(str(following.value.value).split())


PAGES = {"cli.md": render_cli, "settings.md": render_settings}

if __name__ == "__main__":
    for name, render in PAGES.items():
        Path(__file__).with_name(name).write_text(render())
