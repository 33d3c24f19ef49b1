"""Train a model version from customer files: `segserve train`."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service.commands.output import JsonOption, print_json, progress_bar
from service.errors import ConfigurationError, DatasetError, MissingExtraError
from service.model import MAX_CLUSTERS
from service.settings import read_settings
from service.store import Store
from service.transform import Transform

REJECTS = "rejects.csv"

MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=EXPRESSION",
        help="Where Age, Income or Purchases comes from: a column's name, or arithmetic of columns "
        "(+ - * / and parentheses). Repeatable.",
        show_default=False,
    ),
]
IdOption = Annotated[
    str | None,
    typer.Option("--id-column", help="Column that identifies a customer.", show_default=False),
]
DecimalOption = Annotated[str, typer.Option(help="Decimal mark of the numbers in the file: . or ,")]


def train(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Customer files: CSV or Parquet.", show_default=False)
    ],
    *,
    k: Annotated[str, typer.Option(help="Number of segments, or auto to choose it.")] = "auto",
    transform: Annotated[Transform, typer.Option(help="Applied to Spending_Power.")] = Transform.NONE,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the random starts.")] = 42,
    store: Annotated[
        str | None, typer.Option(help="Folder of model versions. Default: models.", show_default=False)
    ] = None,
    column_map: MapOption = None,
    id_column: IdOption = None,
    decimal: DecimalOption = ".",
    as_json: JsonOption = False,
) -> None:
    """Read customers, find segments and write a new model version."""
    try:
        from service.commands.summary import print_summary  # noqa: PLC0415
        from service.training.dataset import read_dataset  # noqa: PLC0415  # heavy, and an extra
        from service.training.trainer import Hyperparameters  # noqa: PLC0415
        from service.training.trainer import train as fit  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise MissingExtraError("train", extra="train", package=exc.name or "a package") from exc

    hyperparameters = Hyperparameters(k=parse_k(k), transform=transform, seed=seed)
    target = Store(Path(read_settings(store=store).store))
    with progress_bar() as on_progress, tempfile.TemporaryDirectory() as folder:
        rejects = Path(folder) / REJECTS
        try:
            dataset = read_dataset(
                files,
                mapping=parse_mapping(column_map or []),
                id_column=id_column,
                decimal=decimal,
                rejects_path=rejects,
                on_progress=lambda done, total: on_progress("Reading", done, total),
            )
        except DatasetError as exc:
            raise _keep_rejects(exc, rejects=rejects, store=target.root) from exc
        trained = fit(dataset, hyperparameters, on_progress=on_progress)
        beside = {REJECTS: rejects} if rejects.exists() else {}
        version = target.add(trained.files, provenance=trained.provenance, beside=beside)
    path = str(target.resolve(version))
    kept = str(Path(path).with_name(REJECTS)) if beside else None
    if as_json:
        print_json(
            {
                "version": version,
                "path": path,
                "digest": trained.model.digest,
                "metrics": dict(trained.metrics),
                "sweep": [asdict(candidate) for candidate in trained.candidates],
                "segments": [asdict(segment) for segment in trained.model.segments],
                "data": dataset.report.as_dict(),
                "rejects": kept,
                "warnings": list(trained.warnings),
            }
        )
    else:
        print_summary(trained, dataset.report, version=version, path=path, rejects=kept)


def parse_k(text: str) -> int | None:
    """Return the number of clusters, None for auto."""
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_CLUSTERS):
        raise ConfigurationError(f"--k {text[:20]!r} is not accepted: it should be auto or 1 to {MAX_CLUSTERS}")
    return int(text)


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Return the expression of each mapped column."""
    mapping = {}
    for pair in pairs:
        column, equals, expression = pair.partition("=")
        if not equals or not column.strip() or not expression.strip():
            raise ConfigurationError(f"--map {pair[:80]!r} is not accepted: it should be COLUMN=EXPRESSION")
        if column.strip() in mapping:
            raise ConfigurationError(f"--map names {column.strip()[:80]!r} twice")
        mapping[column.strip()] = expression.strip()
    return mapping


def _keep_rejects(error: DatasetError, *, rejects: Path, store: Path) -> DatasetError:
    """Leave the rejected rows in the store, since no version will hold them."""
    if not rejects.exists():
        return error
    store.mkdir(parents=True, exist_ok=True)
    kept = store / REJECTS
    kept.write_bytes(rejects.read_bytes())
    return DatasetError(str(error).replace(str(rejects), str(kept)))
