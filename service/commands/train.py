"""Train a model version from customer files: `segserve train`."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import DecimalOption, JsonOption, MapOption, StoreOption
from service.errors import ConfigurationError, DatasetError, MissingExtraError
from service.transform import Transform

REJECTS = "rejects.csv"


def train(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="Customer files: CSV or Parquet.", show_default=False),
    ],
    *,
    k: Annotated[str, typer.Option(help="Number of segments, or auto to choose it.")] = "auto",
    transform: Annotated[Transform, typer.Option(help="Applied to Spending_Power.")] = Transform.NONE,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the random starts.")] = 42,
    store: StoreOption = None,
    column_map: MapOption = None,
    id_column: Annotated[
        str | None, typer.Option("--id-column", help="Column that identifies a customer.", show_default=False)
    ] = None,
    decimal: DecimalOption = ".",
    as_json: JsonOption = False,
) -> None:
    """Read customers, find segments and write a new model version."""
    try:
        from service.commands.summary import Run, print_summary
        from service.training.dataset import read_dataset
        from service.training.expression import parse_mapping
        from service.training.hyperparameters import Hyperparameters, parse_k
        from service.training.job import is_training_tree, run_job
        from service.training.trainer import train as fit
    except ModuleNotFoundError as exc:
        raise MissingExtraError("train", extra="train", package=exc.name or "a package") from exc
    import tempfile

    from service.commands.output import print_json, progress_bar
    from service.logs import configure_logging
    from service.settings import read_settings
    from service.store import Store

    settings = read_settings(store=store)
    if not files:
        if not is_training_tree(settings.prefix):
            raise ConfigurationError(
                f"train needs a customer file, or SageMaker's training tree in {settings.prefix}"
            )
        configure_logging(settings.log_level)
        run_job(settings.prefix)
        return
    hyperparameters = Hyperparameters(k=parse_k(k), transform=transform, seed=seed)
    mapping = parse_mapping(column_map or [])
    target = Store(Path(settings.store))
    with progress_bar() as on_progress, tempfile.TemporaryDirectory() as folder:
        rejects = Path(folder) / REJECTS
        try:
            dataset = read_dataset(
                files,
                mapping=mapping,
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
    artifact = target.resolve(version)
    run = Run(
        version=version,
        artifact=artifact,
        rejects=artifact.with_name(REJECTS) if beside else None,
        trained=trained,
        report=dataset.report,
    )
    if as_json:
        print_json(run.as_dict())
    else:
        print_summary(run)


def _keep_rejects(error: DatasetError, *, rejects: Path, store: Path) -> DatasetError:
    """Leave the rejected rows in the store, since no version will hold them."""
    if not rejects.exists():
        return error
    store.mkdir(parents=True, exist_ok=True)
    kept = store / REJECTS
    kept.write_bytes(rejects.read_bytes())
    return DatasetError(str(error).replace(str(rejects), str(kept)))
