"""Write HTML: escaped text, tables, and charts with what they show in words and as a table."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Chart:
    """Hold a chart with what a person who does not see it needs."""

    id: str
    title: str
    alt: str
    """What there is to see, in a sentence or two."""
    option: Mapping[str, Any]
    """For ECharts; report.js adds looks and number formats."""
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    """The same data as a table."""
    is_tall: bool = False
    legend: Sequence[tuple[str, str]] = ()
    """Name and colour of each series that can be switched off."""


def text(value: object) -> str:
    """Return a value as text that HTML does not read as markup."""
    return html.escape(str(value), quote=True)


def number(value: float | None, *, digits: int = 0) -> str:
    """Return a number with thousands separators, a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """Return a share in percent."""
    return "\N{EN DASH}" if value is None else f"{value:.1%}"


def difference(value: float) -> str:
    """Return a relative difference with its sign; a true minus, as it stands in running text."""
    return f"{value:+.0%}".replace("-", "\N{MINUS SIGN}")


def sentence(content: str) -> str:
    """Return a remark of training, which may begin small and end without a full stop, as a sentence."""
    start = content if content.startswith("k=") else content[:1].upper() + content[1:]
    return start if start.endswith((".", "!", "?")) else f"{start}."


def folded(summary: str, content: str) -> str:
    """Return content that opens on demand."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def paragraph(content: object, *, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{text(content)}</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str) -> str:
    """Return a table; the first column names the row, the others are figures."""
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{text(row[0])}</th>{"".join(f"<td>{text(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{text(caption)}"><table>'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def section(identity: str, title: str, *parts: str) -> str:
    """Return a part of the page with its heading."""
    return (
        f'<section id="{identity}" aria-labelledby="{identity}-title">'
        f'<h2 id="{identity}-title">{text(title)}</h2>{"".join(parts)}</section>'
    )


def figure(chart: Chart) -> str:
    """Return a chart with its words and its table; the script draws it into the empty element."""
    tall = " tall" if chart.is_tall else ""
    buttons = "".join(
        f'<button type="button" aria-pressed="true" style="--accent:{hexadecimal}">{text(name)}</button>'
        for name, hexadecimal in chart.legend
    )
    legend = f'<div class="legend" data-for="{chart.id}">{buttons}</div>' if buttons else ""
    data = table(chart.header, chart.rows, caption=chart.title)
    return (
        f'<figure><figcaption id="{chart.id}-title">{text(chart.title)}</figcaption>{legend}'
        f'<div class="chart{tall}" id="{chart.id}" tabindex="0" role="group" aria-roledescription="chart" '
        f'aria-labelledby="{chart.id}-title" aria-describedby="{chart.id}-alt"></div>'
        f'<p class="alt" id="{chart.id}-alt">{text(chart.alt)}</p>'
        f"<details><summary>The figures as a table</summary>{data}</details></figure>"
    )


def script_json(document: Any) -> str:
    """Return JSON that may stand inside a script element."""
    content = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
