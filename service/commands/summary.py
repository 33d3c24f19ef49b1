"""Tell a person, or a program, what a training run found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from service.commands.output import console
from service.commands.segments import disagreement, segment_table, sweep_table
from service.features import INCOME
from service.training.dataset import DataReport
from service.training.expression import fold_name
from service.training.lineage import Lineage, Method
from service.training.trainer import TrainedModel

MAX_ASSOCIATIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Hold a finished training run."""

    version: str
    artifact: Path
    rejects: Path | None
    """The rows that could not be used, None where all could."""
    names: Path
    """Where the segments can be renamed."""
    trained: TrainedModel
    report: DataReport

    def as_dict(self) -> dict[str, Any]:
        """Return the run for a program."""
        findings = self.trained.findings.as_dict()
        told = ("sweep", "choice", "structure", "tail", "explanation", "associations")
        return {
            "version": self.version,
            "path": str(self.artifact),
            "digest": self.trained.model.digest,
            "metrics": dict(self.trained.metrics),
            **{name: findings[name] for name in told},
            "lineage": asdict(self.trained.lineage),
            "segments": [asdict(segment) for segment in self.trained.model.segments],
            "data": self.report.as_dict(),
            "rejects": str(self.rejects) if self.rejects else None,
            "warnings": list(self.trained.warnings),
        }


def print_summary(run: Run) -> None:
    """Print the data report, the verdict, the segments, the warnings and where the model is."""
    out = console()
    trained, findings = run.trained, run.trained.findings
    _print_data(out, run.report, run.rejects)
    if findings.candidates:
        out.print()
        out.print(sweep_table(findings.candidates, choice=findings.choice))
        out.print(disagreement(findings.choice), markup=False)
    out.print()
    out.print(segment_table(trained.model.segments))
    out.print()
    for segment in findings.segments:
        rule = segment["rule"]
        out.print(f"{segment['id']:>2}  {rule['text']} ({rule['precision']:.0%} of these)", markup=False)
    out.print(f"    These rules give {findings.explanation.fidelity:.1%} of the customers their segment.\n")
    out.print(f"Choice: {findings.choice.reason}.", markup=False)
    out.print(f"Structure: {findings.structure.sentence}.", markup=False)
    for association in findings.associations[:MAX_ASSOCIATIONS]:
        if not association.is_worth_a_warning:
            out.print(f"Dropped column: {association.sentence}.", markup=False)
    _print_lineage(out, trained.lineage)
    out.print()
    for warning in trained.warnings:
        out.print(f"Warning: {warning}\n", markup=False)
    out.print(f"silhouette  {trained.metrics['silhouette']:.3f}")
    out.print(f"digest      {trained.model.digest[:12]}")
    out.print(f"model       {run.version}")
    out.print(f"artifact    {run.artifact}", markup=False)
    out.print(f"names       {run.names}", markup=False)
    if trained.cells is not None:
        _print_cells(out, trained.cells)


def _print_cells(out: Console, cells: Mapping[str, Any]) -> None:
    """Say what was fitted instead of the records, and how far off the figures may be."""
    age, power = cells["mean"]
    scale_age, scale_power = cells["scale"]
    error = cells["error"]
    out.print(
        f"\nFitted {cells['fitted']:,} of {cells['cells']:,} cells of {cells['records']:,} customers; "
        f"the figures that need customers come from {cells['drawn']:,} of them"
    )
    out.print(f"  mean      {age:.6g}, {power:.6g}")
    out.print(f"  scale     {scale_age:.6g}, {scale_power:.6g}")
    for centroid in cells["centroids"]:
        out.print(f"  centroid  {centroid[0]:.6g}, {centroid[1]:.6g}")
    out.print(
        f"  error     means within {error['Age']:.1g} and {error['Spending_Power']:.1g}; "
        f"within cells lies {error['inertia']:.1g} of the inertia"
    )


def _print_lineage(out: Console, lineage: Lineage) -> None:
    """Say whether the segments are those of the version before."""
    if lineage.previous is None:
        return
    ways = {
        Method.WARM_START: "the segments are those of",
        Method.MATCHED: "the segments moved; the ids are matched to",
        Method.COLD: "the segments are not those of",
    }
    parts = [
        f"{ways[lineage.method]} {lineage.previous}",
        f"{lineage.kept_share or 0:.1%} of customers keep their id",
    ]
    parts += [f"new: {_join(lineage.born)}"] if lineage.born else []
    gone = [number for number in lineage.migration or {} if number not in lineage.mapping]
    parts += [f"gone: {_join(gone)}"] if gone else []
    out.print(f"Ids: {'; '.join(parts)}.", markup=False)


def _join(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def _print_data(out: Console, report: DataReport, rejects: Path | None) -> None:
    blank = f", {report.blank:,} blank rows skipped" if report.blank else ""
    out.print(f"{report.used:,} of {report.read:,} customers used{blank}")
    for line in _remarks(report):
        out.print(f"  {line}", markup=False)
    if report.rejected:
        out.print(f"  {report.rejected:,} rejected, kept in {rejects}:", markup=False)
        for reason, count in _most_frequent(report.rejected_by_reason):
            out.print(f"    {count:,} x {reason}", markup=False)


def _remarks(report: DataReport) -> list[str]:
    remarks = [
        f"{target} is {source}"
        for target, source in report.columns.items()
        if fold_name(source) != fold_name(target)
    ]
    if report.income_imputed:
        remarks.append(
            f"{report.income_imputed:,} without {INCOME}: taken as the median, {report.income_median:,.0f}"
        )
    if report.no_purchases:
        remarks.append(f"{report.no_purchases:,} without a purchase: counted as one purchase")
    if report.duplicate_ids:
        remarks.append(f"{report.duplicate_ids:,} share their id with another")
    return remarks


def _most_frequent(reasons: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:10]
