"""Tell whether new customers are still like those of the training data: `segserve drift`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import DecimalOption, JsonOption, MapOption, StoreOption, VersionArgument
from service.errors import CheckFailedError, MissingExtraError

if TYPE_CHECKING:
    from service.training.drift import Drift


class FailOn(StrEnum):
    """Name the verdict from which on the command fails."""

    WATCH = "watch"
    RETRAIN = "retrain"
    NEVER = "never"


def drift(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="New customers: CSV or Parquet.")],
    version: VersionArgument = None,
    *,
    store: StoreOption = None,
    column_map: MapOption = None,
    decimal: DecimalOption = ".",
    fail_on: Annotated[
        FailOn, typer.Option(help="The verdict from which on the exit code is 4.")
    ] = FailOn.RETRAIN,
    as_json: JsonOption = False,
) -> None:
    """Compare new customers with the training data: keep the model, watch it, or retrain."""
    try:
        from service.training.batch import read_columns
        from service.training.drift import Verdict, measure_drift
        from service.training.expression import parse_mapping
        from service.training.record import read_record, require_sample
    except ModuleNotFoundError as exc:
        raise MissingExtraError("drift", extra="train", package=exc.name or "a package") from exc
    from service.commands.output import print_json
    from service.settings import read_settings
    from service.store import find_artifact
    from service.trust import read_trusted

    settings = read_settings(model=version, store=store)
    artifact = read_trusted(find_artifact(settings.model, store=Path(settings.store)), settings)
    name = artifact.manifest.model_version
    record = read_record(artifact)
    sample = require_sample(record, version=name)
    batch, rejected = read_columns(
        source,
        model=artifact.model,
        mapping=parse_mapping(column_map or []),
        decimal=decimal,
        trained=record.columns,
    )
    found = measure_drift(sample, batch, model=artifact.model)
    if as_json:
        print_json({"model_version": name, "unusable": rejected, **found.as_dict()})
    else:
        _print(found, version=name, rejected=rejected)
    limit = {FailOn.WATCH: (Verdict.WATCH, Verdict.RETRAIN), FailOn.RETRAIN: (Verdict.RETRAIN,)}
    if found.verdict in limit.get(fail_on, ()):
        raise CheckFailedError(f"The verdict is {found.verdict}: {found.reason}")


def _print(found: "Drift", *, version: str, rejected: int) -> None:
    from rich.table import Table

    from service.commands.output import console

    out = console()
    out.print(f"{found.verdict.upper()}  {found.reason}\n")
    measures = Table(box=None, pad_edge=False)
    measures.add_column("compared")
    measures.add_column("")
    for name in ("value", "by chance", "limit", "p"):
        measures.add_column(name, justify="right")
    measures.add_column("")
    for measure in found.measures:
        measures.add_row(
            measure.of,
            measure.kind.upper(),
            f"{measure.value:.3f}",
            f"{measure.expected:.3f}",
            f"{measure.limit:.3f}",
            f"{measure.p:.3f}",
            "alarm" if measure.is_alarm else "",
        )
    out.print(measures)
    segments = Table(box=None, pad_edge=False)
    segments.add_column("id", justify="right")
    segments.add_column("segment")
    for name in ("training", "now"):
        segments.add_column(name, justify="right")
    for share in found.segments:
        segments.add_row(str(share.id), share.name, f"{share.training:.1%}", f"{share.batch:.1%}")
    out.print()
    out.print(segments)
    sampled = f" (a sample of {found.compared:,} was compared)" if found.compared < found.customers else ""
    unusable = f", {rejected:,} more cannot be used" if rejected else ""
    out.print(
        f"\n{found.customers:,} customers{sampled}{unusable}, "
        f"against {found.sample:,} of the training data of {version}"
    )
