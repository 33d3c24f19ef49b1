"""Keep the names that people give to segments, in a small file of the store that survives retrains.

`segment-names.json` holds, for each family of models, a name by segment id:

    {"3f2a9c1b04d7": {"0": "Older regular buyers", "1": "Students"}}

A family are the models trained from one another (`--previous`): only within one does an id always mean
the same people, so a name is never given to strangers who happen to have the same number.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from service.errors import ConfigurationError, StoreError
from service.model import MAX_NAME_CHARACTERS

NAMES_FILE: Final = "segment-names.json"

Names = dict[int, str]


def read_names(path: Path) -> dict[str, Names]:
    """Return the names by family and segment id; a file that is not there holds none.

    Raises:
        ConfigurationError: The file is not as training wrote it, apart from the names; says where.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc.strerror}") from exc
    except json.JSONDecodeError as exc:
        raise ConfigurationError(
            f"{path} is not JSON: {exc.msg} in line {exc.lineno}, column {exc.colno}"
        ) from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path} is not JSON in UTF-8") from None
    if not isinstance(document, dict) or not all(isinstance(names, dict) for names in document.values()):
        raise ConfigurationError(f'{path} must hold names by family and id: {{"family": {{"0": "Name"}}}}')
    return {family: _checked(names, where=f"{path}, family {family}") for family, names in document.items()}


def write_names(path: Path, names: Mapping[str, Names]) -> None:
    """Write the names; the file is there whole or as it was.

    Raises:
        StoreError: It cannot be written.
    """
    document = {
        family: {str(number): of_family[number] for number in sorted(of_family)}
        for family, of_family in names.items()
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_text(f"{json.dumps(document, indent=1, ensure_ascii=False)}\n", encoding="utf-8")
        partial.replace(path)
    except OSError as exc:
        raise StoreError(f"{path} cannot be written: {exc.strerror}") from exc
    finally:
        partial.unlink(missing_ok=True)


def _checked(names: Mapping[str, object], *, where: str) -> Names:
    """Return the names of one family."""
    checked: Names = {}
    for key, name in names.items():
        if not (key.isascii() and key.isdigit()):
            raise ConfigurationError(f"{where}: {key[:20]!r} is no segment id; it should be a number")
        if not isinstance(name, str) or not 1 <= len(name.strip()) <= MAX_NAME_CHARACTERS:
            raise ConfigurationError(
                f"{where}: the name of segment {key} should be text of 1 to {MAX_NAME_CHARACTERS} characters"
            )
        if not name.isprintable():
            raise ConfigurationError(f"{where}: the name of segment {key} holds a control character")
        if name.strip() in checked.values():
            raise ConfigurationError(f"{where}: two segments are called {name.strip()!r}; names must differ")
        checked[int(key)] = name.strip()
    return checked
