"""Tell a person, or a program, what a training run found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from service.commands.output import console
from service.commands.segments import segment_table
from service.features import INCOME
from service.training.dataset import DataReport
from service.training.expression import fold_name
from service.training.selection import Candidate
from service.training.trainer import TrainedModel


@dataclass(frozen=True, slots=True)
class Run:
    """Hold a finished training run."""

    version: str
    artifact: Path
    rejects: Path | None
    """The rows that could not be used, None where all could."""
    trained: TrainedModel
    report: DataReport

    def as_dict(self) -> dict[str, Any]:
        """Return the run for a program."""
        return {
            "version": self.version,
            "path": str(self.artifact),
            "digest": self.trained.model.digest,
            "metrics": dict(self.trained.metrics),
            "sweep": [asdict(candidate) for candidate in self.trained.candidates],
            "segments": [asdict(segment) for segment in self.trained.model.segments],
            "data": self.report.as_dict(),
            "rejects": str(self.rejects) if self.rejects else None,
            "warnings": list(self.trained.warnings),
        }


def print_summary(run: Run) -> None:
    """Print the data report, the segments, the warnings and where the model is."""
    out = console()
    trained = run.trained
    _print_data(out, run.report, run.rejects)
    if trained.candidates:
        _print_sweep(out, trained.candidates, chosen=len(trained.model.centroids))
    out.print()
    out.print(segment_table(trained.model.segments))
    out.print()
    for warning in trained.warnings:
        out.print(f"Warning: {warning}\n", markup=False)
    out.print(f"silhouette  {trained.metrics['silhouette']:.3f}")
    out.print(f"digest      {trained.model.digest[:12]}")
    out.print(f"model       {run.version}")
    out.print(f"artifact    {run.artifact}", markup=False)


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


def _print_sweep(out: Console, candidates: Sequence[Candidate], *, chosen: int) -> None:
    scores = ", ".join(f"{candidate.k}: {candidate.silhouette:.3f}" for candidate in candidates)
    out.print(f"k={chosen} has the best silhouette ({scores})")
