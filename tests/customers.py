"""Make up customers as dirty as people have them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

HEADER = "CustomerID,Age,Gender,Income,Purchases"
UNQUOTED = (
    "x,,Male,5,1",
    "x,30,Male,,4",
    "x,30,Male,N/A,4",
    "x,30,Male,$1,4",
    "x,30,Male,-1,4",
    "x,nan,Male,50000,4",
    "x,40,Male,inf,4",
    "x,40,Male,1e400,4",
    "x,40,Male,1e101,4",
    "x,0,Male,1,4",
    "x,41,Male,30000,0",
    "x,41,Male",
    "x,41,Male,30000,1,",
    "x,41,Male,30000,1,7",
    "",
    "  ",
    ",,,,",
    "x, 44 ,Female,1_000,3",
    "x,44,Female, 51000 ,3",
)
"""Rows that no fast reader takes, in a file that it does."""

ODD = (
    *UNQUOTED,
    " , ,\u00a0,\u3000,",
    "x,44,Female,\u00a051 000\u202f,3",
    "x,44,Female,1'234.5,3",
    'x,44,Female,"1,234.5",3',
    'x,44,"Fe""male","$1,234",3',
    'x,44,Fe"male,"12"34,3',
    'x,44,"Male, or so",1234,3',
    'x,"44","Male","",3,"8"',
    '"","","","",""',
    '"",""',
    "x,44,Female,1.234,5,3",
    "x,44,Female,1.234.567,3",
    "x,\uff11\uff12,Female,1000,3",
    "x,12f,Female,1000,3",
    "x,0x10,Female,1000,3",
    "x,12\u2028,Female,1000,3",
    "x,12\x85,Female,1000,3",
    "x,44,Female,NA\u2028,3",
    "x,44,Female,NO\u212a 5000,3",
    "x,44,Female,5000 eur,3",
    "x,.5,Female,12.,+1e1",
    "x,44,Female,none,none",
    "x,\t44,Female,5,1\t",
)


def rows(n: int, *, seed: int = 3, odd_ones: Sequence[str] = ODD) -> list[str]:
    random = np.random.default_rng(seed)
    ages, incomes = random.integers(18, 80, n), np.exp(random.normal(10.7, 0.5, n)).round(2)
    purchases, genders = random.integers(0, 40, n), random.choice(["Male", "Female"], n)
    found = [
        f"{number},{age},{gender},{income},{count}"
        for number, (age, gender, income, count) in enumerate(
            zip(ages, genders, incomes, purchases, strict=True)
        )
    ]
    for place, odd in enumerate(odd_ones):
        found.insert(20 + 61 * place, odd)
    return found


def write(
    path: Path, lines: list[str], *, end: str = "\n", encoding: str = "utf-8", header: str = HEADER
) -> Path:
    path.write_bytes((end.join([header, *lines]) + end).encode(encoding, errors="replace"))
    return path
