"""Read the hyperparameters of a SageMaker training job: every value a string, in one of several encodings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from service.errors import ConfigurationError
from service.model import MAX_CLUSTERS
from service.training.expression import parse_mapping
from service.transform import Transform

MAX_SEED: Final = 2**32 - 1
_MAX_DIGITS: Final = 20
_IGNORED: Final = ("sagemaker_", "_tuning_objective_metric")
"""C75: names that SageMaker and its SDK add."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hold what the user decides about a fit."""

    k: int | None = None
    """Number of clusters; None chooses it."""
    transform: Transform = Transform.NONE
    seed: int = 42


@dataclass(frozen=True, slots=True)
class JobHyperparameters:
    """Hold what the user decides about a training job: the fit, and how its files are read."""

    fit: Hyperparameters = Hyperparameters()
    mapping: Mapping[str, str] = field(default_factory=dict)
    id_column: str | None = None
    decimal: str = "."
    channel: str = "train"
    previous: str | None = None
    """Channel of the version to continue, or none; by default `previous` or `model`, where there is one."""


def parse_k(value: object) -> int | None:
    """Return the number of clusters, None for auto.

    Raises:
        ConfigurationError: It is neither.
    """
    if value == "auto":
        return None
    number = _whole(value)
    if number is None or not 1 <= number <= MAX_CLUSTERS:
        raise ConfigurationError(
            f"k={str(value)[:20]!r} is not accepted: it should be auto or 1 to {MAX_CLUSTERS}"
        )
    return number


def read_hyperparameters(path: Path) -> JobHyperparameters:
    """Read `hyperparameters.json`; a file that is not there means the defaults.

    Raises:
        ConfigurationError: A name or a value is not accepted.
    """
    given = {
        name: _decode(value)
        for name, value in _load(path).items()
        if not name.startswith(_IGNORED) and value is not None
    }
    known = {"k", "n_clusters", "transform", "seed", "map", "id_column", "decimal", "channel", "previous"}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ConfigurationError(
            f"the hyperparameter {unknown[0][:80]!r} is not accepted; there are {', '.join(sorted(known))}"
        )
    return JobHyperparameters(
        fit=Hyperparameters(
            k=parse_k(given.get("k", given.get("n_clusters", "auto"))),
            transform=_transform(given.get("transform", Transform.NONE.value)),
            seed=_seed(given.get("seed", 42)),
        ),
        mapping=_mapping(given.get("map", {})),
        id_column=str(given["id_column"]) if "id_column" in given else None,
        decimal=str(given.get("decimal", ".")),
        channel=str(given.get("channel", "train")),
        previous=str(given["previous"]) if "previous" in given else None,
    )


def _load(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as exc:
        raise ConfigurationError(f"{path} cannot be read as JSON") from exc
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} must hold one JSON object")
    return document


def _decode(value: object) -> Any:
    """Undo the SDK's own encoding, JSON in a string: 5, "5" and log1p without quotes are in use (C75)."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _mapping(value: object) -> dict[str, str]:
    """Return the mapped columns, given as an object, as COLUMN=EXPRESSION, or as a list of these."""
    if isinstance(value, Mapping):
        return {str(column): str(expression) for column, expression in value.items()}
    return parse_mapping([str(pair) for pair in value] if isinstance(value, list) else [str(value)])


def _transform(value: object) -> Transform:
    try:
        return Transform(str(value))
    except ValueError:
        accepted = ", ".join(Transform)
        raise ConfigurationError(
            f"transform={str(value)[:20]!r} is not accepted: it should be one of {accepted}"
        ) from None


def _seed(value: object) -> int:
    number = _whole(value)
    if number is None or number > MAX_SEED:
        raise ConfigurationError(f"seed={str(value)[:20]!r} is not accepted: it should be 0 to {MAX_SEED}")
    return number


def _whole(value: object) -> int | None:
    """Return a whole number that is not negative, None for anything else, and for too many digits."""
    text = str(value)
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None
