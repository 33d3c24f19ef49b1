"""Train a model version from customer files: what `segserve train` does once its options are read.

Without the command line's own library, whose import and set-up take a tenth of a second: see `plain`.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from service import switching
from service.commands.cluster import load_session
from service.errors import (
    ArtifactError,
    ConfigurationError,
    DatasetError,
    MissingExtraError,
    ModelNotFoundError,
)
from service.imports import importing
from service.transform import Transform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.commands.summary import Run
    from service.settings import Settings
    from service.training.dataset import Dataset, Means
    from service.training.hyperparameters import Hyperparameters
    from service.training.lineage import Previous
    from service.training.names import Names
    from service.training.trainer import TrainedModel

REJECTS = "rejects.csv"
NO_PREVIOUS = "none"


@switching.often()
def train_version(
    files: Sequence[str] = (),
    *,
    k: str = "auto",
    transform: Transform = Transform.NONE,
    seed: int = 42,
    store: str | None = None,
    column_map: Sequence[str] = (),
    id_column: str | None = None,
    decimal: str = ".",
    previous: str | None = None,
    sign_key: Path | None = None,
    spark_conf: Sequence[str] | None = None,
    as_json: bool = False,
) -> None:
    """Read customers, find segments, write a new model version and print what was found.

    Args:
        files: CSV or Parquet; none of them for SageMaker's training job.
        k: Number of segments, or auto.
        transform: Of Spending_Power.
        seed: Of the random starts.
        store: Folder of model versions; None for that of the settings.
        column_map: Where Age, Income or Purchases comes from, COLUMN=EXPRESSION each.
        id_column: That identifies a customer.
        decimal: Mark of the numbers in the files.
        previous: Version to continue, `none` for none; None for the one in production.
        sign_key: Signs the version.
        spark_conf: Settings of Spark where that reads the files; None where this machine does.
        as_json: Print one JSON document instead of text.

    Raises:
        ServiceError: Something is wrong with options, settings or files; the message says what.
    """
    # Before numpy is imported: its threads wait by spinning, and nothing here is given to them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from service.training.ahead import EncodingsAhead

    is_local = spark_conf is None
    encodings = EncodingsAhead(Path(file) for file in files if is_local)
    try:
        with importing():
            from service.training.dataset import Means
            from service.training.expression import parse_mapping
            from service.training.hyperparameters import Hyperparameters, parse_k

        _check_installed("sklearn", "skops")
    except ModuleNotFoundError as exc:
        raise MissingExtraError("train", extra="train", package=exc.name or "a package") from exc
    from service.settings import read_settings

    settings = read_settings(store=store, sign_key=sign_key)
    if not files:
        if not is_local:
            raise ConfigurationError("--engine spark needs customer files: name paths, folders or addresses")
        train_job(settings)
        return
    means = Means(kernel=settings.kernel, find_encoding=encodings.find)
    run = _train_files(
        partial(
            _reader(spark_conf, means=means),
            files,
            mapping=parse_mapping(column_map),
            id_column=id_column,
            decimal=decimal,
        ),
        Hyperparameters(k=parse_k(k), transform=transform, seed=seed),
        settings=settings,
        previous=previous,
        fits_records=is_local and _are_few(files),
    )
    from service.commands.output import print_json
    from service.commands.summary import print_summary

    if as_json:
        print_json(run.as_dict())
    else:
        print_summary(run)


def _check_installed(*packages: str) -> None:
    """Raise ModuleNotFoundError for what will be imported while the files are read."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(name=package)


def train_job(settings: "Settings") -> None:
    """Run SageMaker's training job."""
    with importing():
        from service.logs import configure_logging
        from service.training.job import run_job

    # The configuration may be absent (C76), so what tells a job is the tree's root.
    if not (settings.prefix / "input").is_dir():
        raise ConfigurationError(
            f"train needs a customer file, or SageMaker's training tree in {settings.prefix}"
        )
    configure_logging(settings.log_level)
    run_job(settings.prefix, settings=settings)


def _train_files(
    read: "Callable[..., Dataset]",
    hyperparameters: "Hyperparameters",
    *,
    settings: "Settings",
    previous: str | None,
    fits_records: bool,
) -> "Run":
    import tempfile
    from concurrent.futures import ThreadPoolExecutor

    from service.commands.output import progress_bar
    from service.signing import PrivateKey
    from service.store import Store
    from service.training.names import NAMES_FILE, read_names

    with importing():
        from service.training.survey import make_survey

    store = Path(settings.store)
    target = Store(store)
    sign = PrivateKey.read(settings.sign_key).sign if settings.sign_key else None
    before = _find_previous(previous, settings)
    names_path = store / NAMES_FILE
    names = read_names(names_path)
    with (
        progress_bar() as on_progress,
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(max_workers=1) as imports,
    ):
        # What fits takes seconds to import, in which records are read and looked at.
        fitting = imports.submit(_import_trainer, fits_records=fits_records)
        rejects = Path(folder) / REJECTS
        try:
            dataset = read(
                rejects_path=rejects,
                on_progress=lambda done, total: on_progress("Reading", done, total),
            )
        except DatasetError as exc:
            raise _keep_rejects(exc, rejects=rejects, store=store) from exc
        survey = make_survey(dataset, hyperparameters, kernel=settings.kernel, on_progress=on_progress)
        trained: TrainedModel = fitting.result().fit_survey(
            survey, previous=before, names=names, on_progress=on_progress
        )
        beside = {REJECTS: rejects} if rejects.exists() else {}
        version = target.add(trained.files, provenance=trained.provenance, beside=beside, sign=sign)
    from service.commands.summary import Run

    artifact = target.resolve(version)
    _keep_names(trained, names=names, path=names_path)
    return Run(
        version=version,
        artifact=artifact,
        rejects=artifact.with_name(REJECTS) if beside else None,
        names=names_path,
        trained=trained,
        report=dataset.report,
    )


def _are_few(files: Sequence[str]) -> bool:
    """Tell whether files are there and seem to have so few records that scikit-learn will fit these."""
    from service.training.dataset import is_large

    paths = [Path(file) for file in files]
    return all(path.is_file() for path in paths) and not is_large(paths)


def _import_trainer(*, fits_records: bool) -> ModuleType:
    with importing():
        if fits_records:
            importlib.import_module("service.training.record_fit")
        return importlib.import_module("service.training.trainer")


def _reader(spark_conf: Sequence[str] | None, *, means: "Means") -> "Callable[..., Dataset]":
    """Return what reads files into a data set: this machine where no settings of Spark are given."""
    from service.training.dataset import read_dataset

    if spark_conf is None:
        return lambda files, **options: read_dataset([Path(file) for file in files], means=means, **options)
    session = load_session("train")

    settings = session.parse_settings(spark_conf)

    def read(files: Sequence[str], **options: Any) -> "Dataset":
        with session.spark_session(settings, command="train") as spark:
            from service.training.spark.dataset import read_by_spark

            return read_by_spark(spark, files, **options)

    return read


def _find_previous(wish: str | None, settings: "Settings") -> "Previous | None":
    """Return the version to continue: the one asked for, else the one in production.

    Raises:
        ConfigurationError: The one asked for is not there.
        ArtifactError: It cannot be used; the message says how to go on.
        ModelNotFoundError: The one in production is not there; the message says how to go on.
    """
    from service.store import Store, find_artifact
    from service.training.lineage import Previous
    from service.trust import read_signed

    store = Path(settings.store)
    name = Store(store).production() if wish is None else wish
    if name is None or name == NO_PREVIOUS:
        return None
    try:
        return Previous.of(read_signed(find_artifact(name, store=store), settings))
    except (ModelNotFoundError, ArtifactError) as exc:
        if wish is not None and isinstance(exc, ModelNotFoundError):
            raise ConfigurationError(f"--previous: {exc}") from exc
        raise type(exc)(
            f"{name}, the version to continue, cannot be used: {exc}. "
            f"Train without it: --previous {NO_PREVIOUS}"
        ) from exc


def _keep_names(trained: "TrainedModel", *, names: "Mapping[str, Names]", path: Path) -> None:
    """Add the segments to the file where people may rename them."""
    from service.training.names import write_names

    family = trained.lineage.family
    present = {segment.id: segment.name for segment in trained.model.segments}
    write_names(path, {**names, family: {**names.get(family, {}), **present}})


def _keep_rejects(error: DatasetError, *, rejects: Path, store: Path) -> DatasetError:
    """Leave the rejected rows in the store, since no version will hold them."""
    if not rejects.exists():
        return error
    store.mkdir(parents=True, exist_ok=True)
    kept = store / REJECTS
    kept.write_bytes(rejects.read_bytes())
    return DatasetError(str(error).replace(str(rejects), str(kept)))
