r"""Divide the lines of CSV files into fields by SQL, as pyarrow does for a file of this machine.

Spark reads a line a row, wherever a file is cut in two. A line is counted from the start of its file by
adding up, once, how many lines each part of it holds: so a reject has its line here too.

    field  := '"' ([^"] | '""')* '"' rest | rest       rest := [^delimiter]*
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from service.errors import DatasetError
from service.training.spark.files import SparkFile, file_key

WHITESPACE: Final = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""What Arrow's utf8_trim_whitespace takes off."""

_QUOTE: Final = '"'
_UTF8: Final = (
    r"^(?:[\x00-\x7f]++|(?:[\xc2-\xdf][\x80-\xbf])++|(?:\xe0[\xa0-\xbf][\x80-\xbf])++"
    r"|(?:[\xe1-\xec\xee\xef][\x80-\xbf]{2})++|(?:\xed[\x80-\x9f][\x80-\xbf])++"
    r"|(?:\xf0[\x90-\xbf][\x80-\xbf]{2})++|(?:[\xf1-\xf3][\x80-\xbf]{3})++|(?:\xf4[\x80-\x8f][\x80-\xbf]{2})++)*+$"
)
"""Bytes, each taken for a character of ISO-8859-1, that are UTF-8. Source: RFC 3629, section 4."""

_CP1252: Final = {
    byte: bytes([byte]).decode("cp1252")
    for byte in range(0x80, 0xA0)
    if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}
_UNDEFINED: Final = r"[\x81\x8d\x8f\x90\x9d]"


@dataclass(slots=True)
class Survey:
    """Hold how many lines the parts of files have, and what is odd in each file."""

    parts: list[tuple[str, int, int, int]] = field(default_factory=list)
    """File as Spark spells it, where the part begins, its number among the files, and what is to be added to
    Spark's number of a line for that of the line in its file, from 1."""
    recoded: set[int] = field(default_factory=set)
    """Files that are not UTF-8."""


def read_lines(spark: Any, files: Sequence[SparkFile]) -> Any:
    """Return the lines of files, each with its file, its part and a number that ascends by 1 in a part."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415  # as all of Spark's users call it

    return spark.read.text([file.pattern for file in files]).select(
        "value",
        F.input_file_name().alias("file"),
        F.input_file_block_start().alias("start"),
        F.monotonically_increasing_id().alias("row"),
    )


def survey(spark: Any, files: Sequence[SparkFile]) -> Survey:
    """Count the lines of files of one layout.

    Raises:
        DatasetError: A file is no text, or a quote in it spans lines, so that it cannot be divided.
    """
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    delimiter = str(files[0].layout.delimiter)
    text, latin = F.col("value"), F.decode(F.col("value").cast("binary"), "ISO-8859-1")
    is_foreign = text.rlike("[^\\x00-\\x7f]") & ~latin.rlike(_UTF8)
    is_open = text.contains(_QUOTE) & ~text.rlike(_whole(delimiter))
    found = (
        read_lines(spark, files)
        .groupBy("file", "start")
        .agg(
            F.count(F.lit(1)).alias("lines"),
            F.min("row").alias("first"),
            F.max("row").alias("last"),
            F.max(is_foreign).alias("is_foreign"),
            F.max(text.contains("\0") | (is_foreign & latin.rlike(_UNDEFINED))).alias("is_binary"),
            F.min(F.when(is_open, F.col("row"))).alias("open"),
        )
        .collect()
    )
    result = Survey()
    before: dict[int, int] = {}
    numbers = {file.key: file.number for file in files}
    names = {file.number: file.name for file in files}
    for part in sorted(found, key=lambda part: (part.file, part.start)):
        number = numbers[file_key(part.file)]
        base = before.get(number, 0) + 1 - part.first
        if part.is_binary:
            raise DatasetError(
                f"{names[number]} is not a text file; accepted are Parquet, and CSV in UTF-8 or Windows-1252"
            )
        if part.open is not None:
            raise DatasetError(
                f"{names[number]} has a quote in line {part.open + base} that is not closed in that line; "
                "Spark divides files at line ends: mend it, save the file as Parquet, or use --engine local"
            )
        if part.last - part.first + 1 != part.lines:
            raise DatasetError(f"{names[number]} cannot be divided: Spark numbers its lines with gaps")
        before[number] = before.get(number, 0) + part.lines
        result.parts.append((part.file, part.start, number, base))
        if part.is_foreign:
            result.recoded.add(number)
    return result


def decoded(encoding: str) -> Any:
    """Return the column `value` as text: Spark takes it for UTF-8, and has no name for Windows-1252."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    if encoding != "cp1252":
        return F.col("value")
    latin = F.decode(F.col("value").cast("binary"), "ISO-8859-1")
    return F.translate(latin, "".join(map(chr, _CP1252)), "".join(_CP1252.values()))


def divide(text: Any, delimiter: str) -> Any:
    """Return the fields of a line, an array of text."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    mark = re.escape(delimiter)
    raw = F.regexp_extract_all(
        F.concat(F.lit(delimiter), text), F.lit(f"{mark}({_quoted(mark)}|[^{mark}]*+)"), F.lit(1)
    )
    quoted = '(?s)^"([^"]*+(?:""[^"]*+)*+)"(.*)$'
    fields = F.transform(
        raw,
        lambda one: F.when(
            one.startswith(_QUOTE),
            F.concat(
                F.regexp_replace(F.regexp_extract(one, quoted, 1), '""', _QUOTE),
                F.regexp_extract(one, quoted, 2),
            ),
        ).otherwise(one),
    )
    return F.when(text.contains(_QUOTE), fields).otherwise(F.split(text, mark))


def is_blank(text: Any) -> Any:
    """Tell whether text holds nothing but whitespace."""
    return text.rlike(f"^[{WHITESPACE}]*+\\z")


def _quoted(mark: str) -> str:
    return f'"[^"]*+(?:""[^"]*+)*+"[^{mark}]*+'


def _whole(delimiter: str) -> str:
    """Return the pattern of a line whose quotes all close."""
    mark = re.escape(delimiter)
    one = f'(?:{_quoted(mark)}|(?:[^"{mark}][^{mark}]*+)?+)'
    return f"^{one}(?:{mark}{one})*+\\z"
