"""Lay out segments as a table that a marketer can read."""

from collections.abc import Sequence

from rich.table import Table

from service.features import AGE, INCOME, PURCHASES, SPENDING_POWER
from service.model import Segment


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
