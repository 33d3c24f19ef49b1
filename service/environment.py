"""Read the fields of a dataclass from environment variables, and say what is wrong with a value.

By hand: importing a library for it would take a server longer than reading its model does.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType
from typing import Any, Final, TypeVar, get_args, get_type_hints

import msgspec

from service.errors import ConfigurationError

T = TypeVar("T")


class Rule(msgspec.Struct, frozen=True):
    """Hold where a field comes from, and which values it takes."""

    variables: tuple[str, ...]
    """The first one that is set wins."""
    ge: int | None = None
    le: int | None = None
    pattern: str | None = None
    max_length: int | None = None


def setting(default: Any, *variables: str, is_secret: bool = False, **limits: Any) -> Any:
    """Return a field that is read from the environment."""
    rule = Rule(variables, **limits)
    return dataclasses.field(default=default, repr=not is_secret, metadata={"rule": rule})


def rules(kind: type) -> Mapping[str, Rule]:
    """Return the rule of each field."""
    return {field.name: field.metadata["rule"] for field in dataclasses.fields(kind)}


def read_environment(kind: type[T], overrides: Mapping[str, Any]) -> T:
    """Return an object of a dataclass whose fields are `setting`s; an override of None does not count.

    Raises:
        ConfigurationError: A value is not accepted; names the variable, the value and what is.
    """
    values = {}
    held = {name: _held(hint) for name, hint in get_type_hints(kind).items()}
    for name, rule in rules(kind).items():
        if overrides.get(name) is not None:
            values[name] = _read(overrides[name], rule, held[name], f"--{name.replace('_', '-')} ")
            continue
        variable = next((variable for variable in rule.variables if os.environ.get(variable)), None)
        if variable is not None:
            values[name] = _read(os.environ[variable], rule, held[name], f"{variable}=")
    return kind(**values)


def _read(value: object, rule: Rule, kind: type, source: str) -> Any:
    try:
        return _READERS.get(kind, kind)(_checked(str(value).strip(), rule, kind))
    except (ValueError, KeyError):
        raise ConfigurationError(
            f"{source}{str(value)[:80]!r} is not accepted: it should be {_describe(rule, kind)}"
        ) from None


def _checked(text: str, rule: Rule, kind: type) -> str:
    """Return the text; raise ValueError where it breaks the rule."""
    if kind is int:
        number = int(text)
        if number < (rule.ge or 0) or (rule.le is not None and number > rule.le):
            raise ValueError(text)
    elif issubclass(kind, Enum):
        return text.lower()
    elif (rule.pattern and not re.search(rule.pattern, text)) or len(text) > (rule.max_length or len(text)):
        raise ValueError(text)
    return text


def _describe(rule: Rule, kind: type) -> str:
    """Say in words what a setting takes."""
    if kind is bool:
        return "a boolean, true or false"
    if kind is int:
        range_ = f"from {rule.ge} to {rule.le}" if rule.le is not None else f"of at least {rule.ge}"
        return f"an integer {range_}"
    if issubclass(kind, Enum):
        *words, last = (repr(str(member.value)) for member in kind)
        return f"{', '.join(words)} or {last}"
    longest = f", and at most {rule.max_length} characters" if rule.max_length else ""
    return f"of the pattern {rule.pattern}{longest}"


def _boolean(text: str) -> bool:
    return _BOOLEANS[text.lower()]


def _held(hint: Any) -> type:
    """Return what a field holds when it is not None."""
    kind: type = next((part for part in get_args(hint) if part is not NoneType), hint)
    return kind


_BOOLEANS: Final = {
    **dict.fromkeys(("true", "1", "yes", "on", "y", "t"), True),
    **dict.fromkeys(("false", "0", "no", "off", "n", "f"), False),
}
_READERS: Final[Mapping[type, Callable[[str], Any]]] = {bool: _boolean}
"""Of kinds that do not read themselves."""
