"""Introduce each segment on a card: who they are, how many, what sets them apart."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from service.features import AGE, INCOME, PURCHASES, SPENDING_POWER
from service.model import Segment
from service.training.report.charts import color
from service.training.report.markup import difference, number, share, text

_DIGITS: Final = {AGE: 0, INCOME: 0, PURCHASES: 1, SPENDING_POWER: 0}


def persona_cards(segments: Sequence[Segment], details: Sequence[Mapping[str, Any]] | None) -> str:
    """Return a card a segment.

    Args:
        segments: The model's own segments.
        details: What training.json knows of each of them; None in an older version.
    """
    known = {detail["id"]: detail for detail in details or ()}
    cards = "".join(
        _card(segment, known.get(segment.id), place=place) for place, segment in enumerate(segments)
    )
    return f'<ul class="cards">{cards}</ul>'


def _card(segment: Segment, detail: Mapping[str, Any] | None, *, place: int) -> str:
    rows = "".join(_row(name, segment, detail) for name in _DIGITS)
    header = "<th></th><th scope='col'>mean</th>"
    if detail:
        header += (
            "<th scope='col'>median</th><th scope='col'>from 5 % to 95 %</th><th scope='col'>against all</th>"
        )
    more = _more(detail) if detail else ""
    return (
        f'<li class="card" style="--accent:{color(place)}">'
        f'<h3><span class="id">{segment.id}</span> {text(segment.name)}</h3>'
        f'<p class="size"><strong>{share(segment.share)}</strong> of the customers '
        f"({number(segment.size)})</p>"
        f'<div class="bar" aria-hidden="true"><i style="width:{100 * segment.share:.1f}%"></i></div>'
        f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>{more}</li>"
    )


def _row(name: str, segment: Segment, detail: Mapping[str, Any] | None) -> str:
    digits = _DIGITS[name]
    cells = f"<td>{number(segment.profile[name], digits=digits)}</td>"
    if detail:
        statistics = detail["statistics"][name]
        low, high = (number(statistics[key], digits=digits) for key in ("p05", "p95"))
        cells += (
            f"<td>{number(statistics['median'], digits=digits)}</td><td>{low} \N{EN DASH} {high}</td>"
            f"<td>{difference(detail['difference'][name])}</td>"
        )
    return f'<tr><th scope="row">{text(name.replace("_", " "))}</th>{cells}</tr>'


def _more(detail: Mapping[str, Any]) -> str:
    rule = detail.get("rule")
    parts = []
    if rule:
        parts.append(
            f'<p class="rule"><b>In short:</b> {text(rule["text"])}<br><small>True of '
            f"{share(rule['coverage'])} of the segment; {share(rule['precision'])} of all customers "
            "of whom it is true are in the segment.</small></p>"
        )
    examples = detail.get("examples") or ()
    if examples:
        lines = "".join(
            "<li>"
            + ", ".join(
                f"{text(name.replace('_', ' '))} {number(example[name], digits=0)}" for name in _DIGITS
            )
            + "</li>"
            for example in examples
        )
        parts.append(f'<div class="examples"><b>Two of them</b><ul>{lines}</ul></div>')
    return "".join(parts)
