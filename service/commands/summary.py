"""Tell a person what a training run found."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from service.commands.output import console
from service.commands.segments import segment_table
from service.features import INCOME
from service.training.dataset import DataReport
from service.training.selection import Candidate
from service.training.trainer import TrainedModel


def print_summary(trained: TrainedModel, report: DataReport, *, version: str, path: str, rejects: str | None) -> None:
    """Print the data report, the segments, the warnings and where the model is."""
    out = console()
    _print_data(out, report, rejects)
    if trained.candidates:
        _print_sweep(out, trained.candidates, chosen=len(trained.model.centroids))
    out.print()
    out.print(segment_table(trained.model.segments))
    out.print()
    for warning in trained.warnings:
        out.print(f"Warning: {warning}\n", markup=False)
    out.print(f"silhouette {trained.metrics['silhouette']:.3f}   inertia {trained.metrics['inertia']:.4g}")
    out.print(f"digest     {trained.model.digest}")
    out.print(f"model      {version}")
    out.print(f"artifact   {path}", markup=False)


def _print_data(out: Console, report: DataReport, rejects: str | None) -> None:
    blank = f", {report.blank:,} blank rows skipped" if report.blank else ""
    out.print(f"{report.used:,} of {report.read:,} customers used{blank}")
    for line in _remarks(report):
        out.print(f"  {line}", markup=False)
    if report.rejected:
        out.print(f"  {report.rejected:,} rejected, kept in {rejects}:", markup=False)
        for reason, count in _most_frequent(report.rejected_by_reason):
            out.print(f"    {count:,} x {reason}", markup=False)


def _remarks(report: DataReport) -> list[str]:
    remarks = [f"{target} = {source}" for target, source in report.columns.items()]
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
    scores: list[Any] = [f"{candidate.k}: {candidate.silhouette:.3f}" for candidate in candidates]
    out.print(f"k={chosen} has the best silhouette of {', '.join(scores)}")
