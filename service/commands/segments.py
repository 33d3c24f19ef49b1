"""Lay out segments, and how their number came about, as tables that a marketer can read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.table import Table

from service.features import AGE, INCOME, PURCHASES, SPENDING_POWER
from service.model import Segment

if TYPE_CHECKING:
    from service.training.candidates import Candidate
    from service.training.selection import Choice

_RULES: Final = {
    "stability": "stability",
    "silhouette": "silhouette",
    "calinski_harabasz": "Calinski-Harabasz",
    "davies_bouldin": "Davies-Bouldin",
    "gap": "gap",
    "elbow": "elbow",
}


def segment_table(segments: Sequence[Segment]) -> Table:
    """Return a row a segment: size, share and means in the user's units."""
    table = Table(box=None, pad_edge=False)
    table.add_column("id", justify="right")
    table.add_column("segment")
    for name in ("customers", "share", AGE, INCOME, PURCHASES, SPENDING_POWER):
        table.add_column(name, justify="right")
    for segment in segments:
        table.add_row(
            str(segment.id),
            segment.name,
            f"{segment.size:,}",
            f"{segment.share:.1%}",
            f"{segment.profile[AGE]:.1f}",
            f"{segment.profile[INCOME]:,.0f}",
            f"{segment.profile[PURCHASES]:,.1f}",
            f"{segment.profile[SPENDING_POWER]:,.0f}",
        )
    return table


def sweep_table(candidates: "Sequence[Candidate]", *, choice: "Choice") -> Table:
    """Return a row a number of clusters, with every rule; each rule's own pick has a star."""
    table = Table(box=None, pad_edge=False)
    for name in (
        "k",
        "stability",
        "worst Jaccard",
        "smallest",
        "silhouette",
        "Calinski-Harabasz",
        "Davies-Bouldin",
        "gap",
        "inertia",
    ):
        table.add_column(name, justify="right")
    for one in candidates:

        def cell(rule: str, text: str, *, k: int = one.k) -> str:
            return f"*{text}" if choice.rules[rule] == k else text

        table.add_row(
            f"> {one.k}" if one.k == choice.k else str(one.k),
            cell("stability", f"{one.stability:.2f}"),
            f"{one.worst_jaccard:.2f}",
            f"{one.smallest_share:.1%}",
            cell("silhouette", f"{one.silhouette:.3f}"),
            cell("calinski_harabasz", f"{one.calinski_harabasz:,.0f}"),
            cell("davies_bouldin", f"{one.davies_bouldin:.3f}"),
            cell("gap", f"{one.gap:.3f}"),
            cell("elbow", f"{one.inertia:,.4g}"),
        )
    return table


def disagreement(choice: "Choice") -> str:
    """Say which k each rule would take."""
    picks = ", ".join(f"{_RULES[rule]} {k}" for rule, k in choice.rules.items())
    if len(set(choice.rules.values())) == 1:
        return f"Every rule takes k={choice.rules['stability']}."
    return f"The rules (*) do not agree on k: {picks}."
