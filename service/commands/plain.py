"""Read the options of `serve` and `train` without the command line's library, where they are plain.

Its import, and all that it makes of the options of all commands, take a tenth of a second: as long as the
start of a server. Plain are `--name value` and `--name=value` with names in full. The rest, mistakes and
`--help` among it, is for the library that has words for it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

_MOST: Final = 2**32 - 1
"""Of numbers: the largest seed."""


class Form(msgspec.Struct, frozen=True):
    """Say which words a command takes; all but the names of files are options."""

    texts: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    """Whole, and not negative."""
    choices: Mapping[str, frozenset[str]] = {}
    """Texts that are one of a few."""
    lists: frozenset[str] = frozenset()
    """Texts that may be given more than once."""
    flags: frozenset[str] = frozenset()
    """Without a value."""
    takes_files: bool = False

    def read(self, arguments: Sequence[str]) -> dict[str, Any] | None:
        """Return what is given by name, None where only the whole command line can tell."""
        given: dict[str, Any] = {}
        words = iter(arguments)
        for word in words:
            if self.takes_files and not word.startswith("-"):
                given.setdefault("files", []).append(word)
                continue
            name, equals, value = word.removeprefix("--").partition("=")
            if not word.startswith("--") or (name in given and name not in self.lists):
                return None
            if name in self.flags and not equals:
                given[name] = True
                continue
            value = value if equals else next(words, "-")
            if value.startswith("-") or not self._takes(name, value):
                return None
            if name in self.lists:
                given.setdefault(name, []).append(value)
            else:
                given[name] = value
        return given

    def _takes(self, name: str, value: str) -> bool:
        if name in self.numbers:
            return value.isascii() and value.isdigit() and int(value) <= _MOST
        return name in self.texts | self.lists or value in self.choices.get(name, ())


SERVE: Final = Form(texts=frozenset({"model", "store", "host"}), numbers=frozenset({"port", "workers"}))

TRAIN: Final = Form(
    texts=frozenset({"k", "store", "id-column", "decimal", "previous", "sign-key"}),
    numbers=frozenset({"seed"}),
    choices={"transform": frozenset({"none", "log1p"})},
    lists=frozenset({"map"}),
    flags=frozenset({"json"}),
    takes_files=True,
)
"""All but those of Spark."""


def find_command(words: Sequence[str]) -> Callable[[], None] | None:
    """Return what runs a command, None where it is another one or its options are not plain."""
    name, arguments = words[:1], words[1:]
    if name == ["serve"]:
        options = SERVE.read(arguments)
        return None if options is None else partial(_serve, options)
    if name == ["train"]:
        options = TRAIN.read(arguments)
        return None if options is None else partial(_train, options)
    return None


def _serve(options: Mapping[str, Any]) -> None:
    from service.commands.start import start

    start(**options)


def _train(options: Mapping[str, Any]) -> None:
    from pathlib import Path

    from service.commands.training_run import train_version
    from service.logs import log_warnings
    from service.transform import Transform

    log_warnings()
    kinds: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
        "transform": ("transform", Transform),
        "seed": ("seed", int),
        "sign-key": ("sign_key", Path),
        "id-column": ("id_column", str),
        "map": ("column_map", list),
        "json": ("as_json", bool),
    }
    named = {kinds[name][0]: kinds[name][1](value) for name, value in options.items() if name in kinds}
    train_version(**{name: value for name, value in options.items() if name not in kinds}, **named)
