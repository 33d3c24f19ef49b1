"""Tell whether `pipeline.skops` is a pipeline as training writes it, without loading it.

segserve itself never opens that file: it is for people, who call `skops.io.load`. What skops would then
make is named in the archive's schema, and nothing else than a scaler and k-means belongs there.
"""

import json
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from service.errors import CorruptArtifactError

SCHEMA: Final = "schema.json"
_MAX_SCHEMA_BYTES: Final = 4 * 2**20
"""A pipeline of ours has under 100 KB, one of 50 clusters too."""
_NODE: Final = frozenset({"__class__", "__module__", "__loader__"})
_LOADERS: Final = {
    "ObjectNode": {
        ("sklearn", "Pipeline"),
        ("sklearn", "StandardScaler"),
        ("sklearn", "KMeans"),
        ("sklearn", "ColumnTransformer"),
        ("sklearn", "FunctionTransformer"),
    },
    "NdArrayNode": {("numpy", "ndarray"), ("numpy", "float64"), ("numpy", "int32"), ("numpy", "int64")},
    "FunctionNode": {("numpy", "log1p")},
    "DictNode": {("builtins", "dict")},
    "ListNode": {("builtins", "list")},
    "TupleNode": {("builtins", "tuple")},
    "SliceNode": {("builtins", "slice")},
    "JsonNode": {("builtins", "str")},
    "TypeNode": {("builtins", "str"), ("builtins", "int"), ("builtins", "float")},
}
"""What may be made, by the way that skops makes it: package, and name in it."""


def check_pipeline(name: str, content: bytes) -> None:
    """Raise CorruptArtifactError for anything but a skops file of a scaler and k-means.

    Args:
        name: Of the file, for the message.
        content: All of it; nothing in it is run, and only its schema is decompressed.
    """
    for node in nodes(_read_schema(name, content)):
        made = (str(node.get("__module__")), str(node.get("__class__")))
        allowed = _LOADERS.get(str(node.get("__loader__")), set())
        if (made[0].partition(".")[0], made[1]) not in allowed:
            raise CorruptArtifactError(
                f"the artifact's {name} would load {'.'.join(made)[:80]!a}; "
                "training writes a scaler and k-means, and nothing else"
            )


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a schema that says what it becomes, at any depth."""
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if value.keys() & _NODE:
                yield value
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _read_schema(name: str, content: bytes) -> Any:
    import zipfile  # noqa: PLC0415  # 5 ms at start, which a server without this file spares

    try:
        with zipfile.ZipFile(BytesIO(content)) as archive, archive.open(SCHEMA) as file:
            text = file.read(_MAX_SCHEMA_BYTES + 1)
        if len(text) > _MAX_SCHEMA_BYTES:
            raise CorruptArtifactError(f"the {SCHEMA} in the artifact's {name} is far too large")
        schema = json.loads(text)
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, EOFError, OSError) as exc:
        raise _no_skops(name) from exc
    except (zlib.error, NotImplementedError, RuntimeError) as exc:  # damaged, exotic or encrypted
        raise _no_skops(name) from exc
    return schema


def _no_skops(name: str) -> CorruptArtifactError:
    return CorruptArtifactError(f"the artifact's {name} is not a skops file, whatever its name says")
