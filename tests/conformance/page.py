"""Read docs/contract.md: one table row a clause."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "contract.md"
CLAUSES: Final = tuple(f"C{number}" for number in range(1, 144))
_NAME: Final = re.compile(r"`(test_\w+)`")
_NONE: Final = "none: "


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what the page says about a clause."""

    clause: str
    demand: str
    conduct: str
    tests: tuple[str, ...]
    why_none: str
    """Why there is no test; empty where there is one."""


def read_page() -> list[Row]:
    """Return the rows in the page's order."""
    rows = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and re.fullmatch(r"C\d+", cells[0]):
            why_none = cells[3].removeprefix(_NONE) if cells[3].startswith(_NONE) else ""
            rows.append(Row(cells[0], cells[1], cells[2], tuple(_NAME.findall(cells[3])), why_none))
    return rows
