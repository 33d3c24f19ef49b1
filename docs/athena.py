"""Write `athena.md`: the SQL for Athena, from the code that makes it."""

from service.model import Golden, Segment, SegmentModel
from service.training import athena
from service.training.athena import Source
from service.transform import Transform

_COLUMNS = ("customer_id", "Age", "Gender", "Income", "Purchases")
_LONGEST = 150


def render() -> str:
    """Return the page."""
    source = Source()
    table = athena.create_table(source, _COLUMNS, delimiter=",", location="s3://company-crm/customers/")
    return f"""# Customers in a lake: the same SQL on Athena

Where customers lie in S3 and a Glue catalogue already, Amazon Athena can sum them up and score them without moving them.
`segserve sql` prints the statements; it runs nothing and needs no account. The reading rules are those of
[customer files](data.md), the arithmetic is that of [training](scale.md) and of an invocation. Written by `make docs`.

| | |
|---|---|
| `segserve sql table customers.csv --location s3://company-crm/customers/` | shows CSV files to Athena, every column as text; reads the header of one of them |
| `segserve sql cells` | the cells: all that the fit needs, at most some hundred thousand rows whatever the number of customers |
| `segserve sql score --keep customer_id` | the segment of each customer, by a version of your store |

`--table crm.customers`, `--age`, `--income` and `--purchases` name what is called otherwise. Around the score,
`CREATE TABLE ... AS` or `UNLOAD (...) TO 's3://...' WITH (format = 'PARQUET')` writes the result.

## What is the same, and what is not

- The same cells, to the last bit, and so the same `digest` as `segserve train` has; the same segment for every customer. A test
  reads the statements with sqlglot as Athena's, runs them on DuckDB over a file full of odd values, and compares both.
  They have not been run on Athena itself.
- Customers without an Income: `score` takes the median of the model's training data. `cells` leaves them out, or takes
  `--median-income`.
- `--transform log1p` is left out: the last bits of a logarithm differ between engines, and with them labels. So are confidence,
  outliers and borders.
- A row with too many or too few fields is a reject for segserve; Athena's CSV reader cuts or fills it up. It reads UTF-8 only,
  and decimal points only, and takes a backslash for an escape.
- Rows that cannot be used are missing from the answer. `segserve score` keeps them with the reason.
- Files of Parquet with numbers in them need `CAST(... AS VARCHAR)` in a view, since the statements read text; a cast of a
  double and back gives the same bits.

## The table

```sql
{table}```

## The cells

The rule for numbers is long, since it takes `$84,835.00` and `84 835 EUR`; here it is cut.

```sql
{_cut(athena.cells(source))}```

## The score

Of a model with two segments; yours has its own numbers.

```sql
{_cut(athena.score(source, _model(), keep=["customer_id"]))}```
"""


def _cut(query: str) -> str:
    """Shorten the long patterns of a query."""
    lines = [line if len(line) <= _LONGEST else f"{line[:90]}…{line[-24:]}" for line in query.splitlines()]
    return "\n".join([*lines, ""])


def _model() -> SegmentModel:
    return SegmentModel(
        transform=Transform.NONE,
        mean=(44.5, 3120.25),
        scale=(14.2, 2210.5),
        centroids=((-0.71, -0.52), (0.93, 1.4)),
        segments=(
            Segment(0, "younger, careful", 60, 0.6, {}, 3.0),
            Segment(1, "older, well off", 40, 0.4, {}, 3.0),
        ),
        income_median=52_000.0,
        border_ratio=1.2,
        golden=Golden((), ()),
    )
