"""Compare two model versions: `segserve models compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, assert_never

import typer

from service.commands.options import DecimalOption, JsonOption, MapOption, StoreOption
from service.errors import CheckFailedError, ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from rich.table import Table

    from service.artifact import Artifact
    from service.training.compare import Comparison, SegmentFate


def compare_models(
    before: Annotated[str, typer.Argument(metavar="A", help="The older version, or an artifact's path.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The newer one.")],
    *,
    on: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Customers to compare on: CSV or Parquet. Default: the sample of its training data that B "
            "holds, else A.",
            show_default=False,
        ),
    ] = None,
    switchers: Annotated[
        Path | None,
        typer.Option(
            "--switchers",
            "-o",
            help="File to write with the customers of --on who switch: CSV, or Parquet by its ending.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    max_switch: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Exit with 4 when a larger share of the customers switches.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = None,
    column_map: MapOption = None,
    decimal: DecimalOption = ".",
    as_json: JsonOption = False,
) -> None:
    """Show who switches segments between two versions, and which segments are born, merged or moved."""
    if switchers is not None and on is None:
        raise ConfigurationError("--switchers needs the customers themselves: name their file with --on")
    try:
        from service.training.expression import parse_mapping
        from service.training.record import read_record
        from service.training.switchers import Source, compare_on_file
    except ModuleNotFoundError as exc:
        raise MissingExtraError("models compare", extra="train", package=exc.name or "a package") from exc
    from service.commands.output import print_json, progress_bar
    from service.settings import read_settings
    from service.store import find_artifact
    from service.trust import read_signed

    settings = read_settings(store=store)
    root = Path(settings.store)
    old, new = (read_signed(find_artifact(name, store=root), settings) for name in (before, after))
    if on is None:
        found, unusable = _compare_on_sample(old, new), 0
    else:
        with progress_bar() as on_progress:
            found, unusable = compare_on_file(
                Source(on, parse_mapping(column_map or []), decimal, read_record(new).columns),
                before=old.model,
                after=new.model,
                switchers=switchers,
                on_progress=lambda done, total: on_progress("Comparing", done, total),
            )
    versions = (old.manifest.model_version, new.manifest.model_version)
    if as_json:
        print_json({"before": versions[0], "after": versions[1], "unusable": unusable, **found.as_dict()})
    else:
        _print(found, versions=versions, unusable=unusable, switchers=switchers)
    if max_switch is not None and found.switched_share > max_switch:
        raise CheckFailedError(
            f"{found.switched_share:.2%} of the customers switch; --max-switch allows {max_switch:.2%}"
        )


def _compare_on_sample(old: "Artifact", new: "Artifact") -> "Comparison":
    from service.training.compare import Migration
    from service.training.record import read_record, stack_features

    for artifact in (new, old):
        sample = read_record(artifact).sample
        if sample is not None:
            migration = Migration(old.model, new.model)
            migration.add(stack_features(sample), stack_features(sample))
            return migration.compare()
    raise ConfigurationError(
        "neither version holds a sample of its training data: name a file of customers with --on"
    )


def _print(found: "Comparison", *, versions: tuple[str, str], unusable: int, switchers: Path | None) -> None:
    from service.commands.output import console

    out = console()
    out.print(f"{versions[0]} -> {versions[1]}, on {found.customers:,} customers")
    if unusable:
        out.print(f"  {unusable:,} more cannot be used")
    out.print(f"\n{found.switched:,} switch their segment ({found.switched_share:.1%})")
    if found.rearranged < found.switched:
        out.print(
            f"  {found.rearranged:,} of them would even if the segments were renumbered to fit best: "
            "the others only see another number"
        )
    out.print()
    out.print(_matrix(found))
    out.print()
    for fate in found.fates:
        out.print(f"  {_tell(fate)}", markup=False)
    if switchers is not None:
        out.print(f"\nWho switches is in {switchers}", markup=False)


def _matrix(found: "Comparison") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("from \\ to", justify="right")
    news = list(next(iter(found.migration.values())))
    for new in news:
        table.add_column(str(new), justify="right")
    for old, counts in found.migration.items():
        table.add_row(str(old), *(f"{counts[new]:,}" for new in news))
    return table


def _tell(fate: "SegmentFate") -> str:
    """Say in a sentence what became of a segment."""
    from service.training.compare import Fate

    name = fate.name_after or fate.name_before
    related = ", ".join(f"{share:.0%} {identity}" for identity, share in list(fate.related.items())[:3])
    match fate.fate:
        case Fate.KEPT | Fate.MOVED:
            renamed = f", called {fate.name_before!r} before" if fate.name_before != fate.name_after else ""
            text = (
                f"{fate.overlap:.0%} overlap, {fate.customers_before:,} -> {fate.customers_after:,} customers"
                + renamed
            )
        case Fate.BORN:
            text = f"{fate.customers_after:,} customers, from {related}" if related else "no customers"
        case Fate.MERGED | Fate.DISSOLVED:
            text = f"{fate.customers_before:,} customers, to {related}" if related else "no customers"
        case _:
            assert_never(fate.fate)
    return f"{fate.fate:<9} {fate.id}  {name}: {text}"
