"""Count judged rows on the cluster, and bring to this machine what a fit needs of them."""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from typing import Any, Final

import narwhals as nw
import numpy as np
import pyarrow as pa

from service.errors import DatasetError
from service.features import AGE, INCOME, PURCHASES
from service.training.cells import LARGEST, UNITS, Cells, summarise
from service.training.census import Census, Counted, Totals
from service.training.columns import locate_columns
from service.training.customers import CustomerBatch
from service.training.drawing import DRAWN, KEEP_VALUES, PRIME
from service.training.expression import fold_name
from service.training.source import FileReport
from service.training.spark.judging import BLANK, RAGGED, USABLE
from service.training.spark.lines import WHITESPACE
from service.training.spark.reading import FoundColumns, Part, SparkReader
from service.training.spark.session import to_table
from service.training.sums import INCOME_STEPS, ArrowSums
from service.training.tally import RecordTally, as_text

_BATCH_ROWS: Final = 32_768
_MARGIN: Final = 2
"""So many times as many customers are looked at as are drawn, so that one look is enough as a rule."""

_GROWTH: Final = 16
"""So many times as many are looked at next where most of them were alike."""


def explain(part: Part, problem: int, width: int) -> tuple[str, str]:
    """Return the column to blame for an unusable row, and why."""
    if problem == RAGGED:
        return "", f"expected {len(part.layout.columns)} fields, found {width}"
    found = part.judged.problems[problem - 1]
    return found.column, found.reason


class SparkTally:
    """Say of rows on a cluster what a Tally says of batches."""

    def __init__(
        self, parts: Sequence[Part], rows: Sequence[Any], *, id_column: str | None, large: int
    ) -> None:
        """Count the rows by what is wrong with them.

        Args:
            parts: What was read.
            rows: The judged rows of each part.
            id_column: The column that tells customers apart.
            large: Above so many usable records only sums come to this machine.

        Raises:
            DatasetError: The files changed while they were read.
        """
        self._parts, self._rows, self._id_column, self._large = parts, rows, id_column, large
        self.ignored: Sequence[str] = ()
        """The dropped columns."""
        self.rejected: Counter[tuple[str, str]] = Counter()
        self.used = 0
        self._no_purchases = 0
        self._records: Counter[int] = Counter()
        self._blank: Counter[int] = Counter()
        for part, frame in zip(parts, rows, strict=True):
            self._count(part, frame)

    def _count(self, part: Part, frame: Any) -> None:
        from pyspark.sql import functions as F  # noqa: N812, PLC0415

        counted = frame.groupBy("file", "problem", "width").agg(
            F.count(F.lit(1)).alias("n"), F.sum((F.col(PURCHASES) == 0).cast("bigint")).alias("none")
        )
        for row in counted.collect():
            if row.file is None:
                raise DatasetError(f"{part.files[0].name} and its like changed while Spark read them")
            if row.problem == BLANK:
                self._blank[row.file] += row.n
                continue
            self._records[row.file] += row.n
            if row.problem == USABLE:
                self.used += row.n
                self._no_purchases += row.none
            else:
                column, reason = explain(part, row.problem, row.width)
                self.rejected[reason, column] += row.n

    def readers(self) -> list[SparkReader]:
        """Return what is known of each file, in their order."""
        found = {}
        for part in self._parts:
            for file in part.files:
                report = FileReport(
                    name=file.name,
                    format=part.layout.format,
                    delimiter=part.layout.delimiter,
                    encoding=part.layout.encoding,
                    records=self._records[file.number],
                    blank=self._blank[file.number],
                )
                found[file.number] = SparkReader(FoundColumns(part.layout.columns), part.sources, report)
        return [found[number] for number in sorted(found)]

    def add(self, batch: CustomerBatch, *, positions: Any) -> None:
        """Refuse: Spark has read all rows already."""
        raise NotImplementedError

    def add_ids(self, ids: pa.ChunkedArray) -> None:
        """Refuse: Spark has read all ids already."""
        raise NotImplementedError

    def count_duplicate_ids(self) -> int:
        """Count the rows that repeat an id; rows without one repeat nothing."""
        from pyspark.sql import functions as F  # noqa: N812, PLC0415

        name = fold_name(self._id_column or "")
        ids = self._union([name]).select(F.btrim(F.col("k0").cast("string"), F.lit(WHITESPACE)).alias("id"))
        row = (
            ids.where("id <> ''").agg(F.count("id").alias("n"), F.countDistinct("id").alias("k")).collect()[0]
        )
        return int(row.n - row.k)

    def finish(self) -> Counted:
        """Bring the records themselves, or what stands for them; the median Income where there is none."""
        spelled: dict[str, str] = {}
        for column in self.ignored:
            spelled.setdefault(fold_name(column), column)
        kept = {name: column for name, column in spelled.items() if self._is_simple(name)}
        return self._count_up(kept) if self.used > self._large else self._fetch(kept)

    def _fetch(self, columns: dict[str, str]) -> Counted:
        """Bring all usable records."""
        table = to_table(self._union(list(columns)).drop("n")).sort_by(
            [("file", "ascending"), ("record", "ascending")]
        )
        tally = RecordTally(list(columns.values()))
        positions = {name: place for place, name in enumerate(columns)}
        own = table.select([f"k{place}" for place in positions.values()])
        for start in range(0, table.num_rows, _BATCH_ROWS):
            part = table.slice(start, _BATCH_ROWS)
            nothing = np.full(part.num_rows, "", dtype=np.object_)
            batch = CustomerBatch(
                table=own.slice(start, _BATCH_ROWS),
                records=part["record"].to_numpy(),
                ages=part[AGE].to_numpy(),
                incomes=np.array(part[INCOME].to_numpy(), dtype=np.float64),
                purchases=part[PURCHASES].to_numpy(),
                columns=nothing,
                reasons=nothing,
                is_usable=np.ones(part.num_rows, dtype=np.bool_),
            )
            tally.add(batch, positions=positions)
        return tally.finish()

    def _count_up(self, columns: dict[str, str]) -> Counted:
        """Bring sums of all usable records, and some of them."""
        from pyspark.sql import functions as F  # noqa: N812, PLC0415

        rows = self._union(list(columns))
        known = rows.where(F.col(INCOME).isNotNull())
        cells = nw.to_native(summarise(nw.from_native(known.select(AGE, INCOME, PURCHASES, "n"))))
        most = F.least(F.col(INCOME), F.lit(LARGEST))
        incomes = (
            known.select(
                F.floor(F.sqrt(F.sqrt(F.sqrt(most))) * float(INCOME_STEPS)).alias("place"),
                F.floor(most * float(UNITS) + 0.5).alias("units"),
            )
            .groupBy("place")
            .agg(F.count(F.lit(1)).alias("n"), F.sum("units").alias("units"))
        )
        unknown = rows.where(F.col(INCOME).isNull()).groupBy(AGE, PURCHASES).agg(F.sum("n").alias("n"))
        drawn, kept = self._draw(rows, columns)
        sums = ArrowSums()
        sums.add_summed(Cells.of(to_table(cells)), to_table(incomes))
        census = Census({name: columns[name] for name in kept}, sums)
        census.add_totals(Totals(self.used, self._no_purchases, unknown=to_table(unknown), drawn=drawn))
        return census.finish()

    def _draw(self, rows: Any, columns: dict[str, str]) -> tuple[pa.Table, list[str]]:
        """Return the customers of the lowest hashes, each with how many are alike, and the columns kept."""
        from pyspark.sql import functions as F  # noqa: N812, PLC0415

        hashed = rows.withColumn("hash", _hash())
        below = min(PRIME, PRIME * _MARGIN * DRAWN // self.used + 1)
        while True:
            some = hashed.where(F.col("hash") < below).persist()  # some ten thousands
            names = {name: f"k{place}" for place, name in enumerate(columns)}
            sizes = some.agg(
                F.lit(0).alias("none"),
                *(F.approx_count_distinct(key, 0.01).alias(key) for key in names.values()),
            ).collect()[0]
            kept = [name for name, key in names.items() if sizes[key] <= KEEP_VALUES]
            keys = ["hash", AGE, INCOME, PURCHASES, *(names[name] for name in kept)]
            grouped = some.groupBy(*keys).agg(F.sum("n").alias("n"))
            lowest = grouped.select("hash").orderBy("hash").limit(DRAWN + 1)
            found = lowest.agg(
                F.count(F.lit(1)).alias("n"), F.min("hash").alias("low"), F.max("hash").alias("high")
            ).collect()[0]
            if found.n > DRAWN:
                grouped = grouped.where(F.col("hash") < max(found.high, found.low + 1))
            elif below < PRIME:
                below = min(PRIME, below * _GROWTH)
                some.unpersist()
                continue
            table = to_table(grouped)
            some.unpersist()
            drawn = {name: table[name] for name in ("hash", AGE, INCOME, PURCHASES, "n")}
            for name in kept:
                text = as_text(table[names[name]])
                drawn[f"column {name}"] = pa.nulls(table.num_rows, pa.string()) if text is None else text
            return pa.table(drawn), kept

    def _is_simple(self, name: str) -> bool:
        """Tell whether a column may sort customers into kinds: it holds neither lists nor bytes."""
        return all(
            kind.typeName() not in {"array", "map", "struct", "binary", "variant"}
            for kind in self._kinds(name)
        )

    def _kinds(self, name: str) -> list[Any]:
        found = []
        for part, frame in zip(self._parts, self._rows, strict=True):
            place = locate_columns(part.layout.columns, name=part.files[0].name).get(name)
            if place is not None:
                found.append(frame.schema[part.names[place]].dataType)
        return found

    def _union(self, columns: Sequence[str]) -> Any:
        """Return the usable rows of all parts, with these columns, by folded name, as k0 and on."""
        from pyspark.sql import functions as F  # noqa: N812, PLC0415

        frames = []
        kinds = {name: {kind.simpleString() for kind in self._kinds(name)} for name in columns}
        for part, frame in zip(self._parts, self._rows, strict=True):
            positions = locate_columns(part.layout.columns, name=part.files[0].name)
            own = []
            for place, name in enumerate(columns):
                kind = next(iter(kinds[name])) if len(kinds[name]) == 1 else "string"
                there = positions.get(name)
                column = F.lit(None) if there is None else F.col(part.names[there])
                column = column.cast(kind)
                own.append(
                    (F.btrim(column, F.lit(WHITESPACE)) if kind == "string" else column).alias(f"k{place}")
                )
            usable = frame.where(F.col("problem") == USABLE)
            one = F.lit(1).cast("bigint").alias("n")
            frames.append(usable.select("file", "record", AGE, INCOME, PURCHASES, one, *own))
        return reduce(lambda left, right: left.unionAll(right), frames)


def _hash() -> Any:
    """Return `hash_customers` as an expression."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415

    def fixed(name: str) -> Any:
        units = F.floor(F.least(F.col(name), F.lit(LARGEST)) * 1024.0).bitwiseAND(F.lit(PRIME))
        return F.coalesce(units, F.lit(PRIME)).cast("bigint")

    mixed = (
        fixed(AGE) * F.lit(1_103_515_245)
        + F.when(F.col(INCOME).isNull(), F.lit(PRIME).cast("bigint")).otherwise(fixed(INCOME))
        * F.lit(1_812_433_253)
        + fixed(PURCHASES) * F.lit(1_664_525)
    ) % F.lit(PRIME)
    for _ in range(2):
        mixed = mixed * mixed % F.lit(PRIME) * F.lit(48_271) % F.lit(PRIME)
    return mixed
