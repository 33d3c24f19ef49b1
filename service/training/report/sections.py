"""Write the parts of the report that are text and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.artifact import Provenance
from service.training.record import TrainingRecord
from service.training.report.markup import folded, number, paragraph, section, sentence, share, table, text

_RULES = {
    "stability": "most stable",
    "silhouette": "best silhouette",
    "calinski_harabasz": "best Calinski-Harabasz",
    "davies_bouldin": "best Davies-Bouldin",
    "gap": "gap statistic",
    "elbow": "elbow of the inertia",
}


def unknown(what: str) -> str:
    """Say that this version's training did not write something down."""
    return paragraph(
        f"This version does not tell {what}: an earlier segserve trained it. Train again to see it here.",
        kind="unknown",
    )


def verdict(record: TrainingRecord) -> str:
    """Say first what matters most: whether there are groups, how many were taken and why, how large."""
    structure, choice = record.get("structure"), record.get("choice")
    tail, lineage = record.get("tail") or {}, record.get("lineage") or {}
    segments = record.model.segments
    customers = sum(segment.size for segment in segments)
    is_clear = bool(structure and structure["has_structure"])
    remark = (
        structure["sentence"] if structure else f"{number(customers)} customers in {len(segments)} segments"
    )
    parts = [f'<p class="verdict {"clear" if is_clear else "careful"}">{text(sentence(remark))}</p>']
    if choice:
        parts.append(paragraph(sentence(choice["reason"])))
    if tail.get("sentence"):
        parts.append(paragraph(sentence(tail["sentence"])))
    if lineage.get("kept_share") is not None:
        parts.append(
            paragraph(
                f"{share(lineage['kept_share'])} of the customers keep the segment that they had in the "
                f"previous version, {lineage['previous']}."
            )
        )
    silhouette = (record.get("metrics") or {}).get("silhouette")
    facts = {
        "customers": number(customers),
        "segments": str(len(segments)),
        "smallest segment": share(min(segment.share for segment in segments)),
        "silhouette": number(silhouette, digits=3),
    }
    boxes = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items()
    )
    return section("verdict", "The verdict", *parts, f'<dl class="facts">{boxes}</dl>')


def rules_table(choice: Mapping[str, Any] | None) -> str:
    """Show what k each rule would take."""
    if not choice or not choice.get("rules"):
        return unknown("what each rule for the number of segments says")
    rows = [(_RULES.get(name, name), k) for name, k in choice["rules"].items()]
    return table(["rule", "k"], rows, caption="What each rule would take")


def structure_section(record: TrainingRecord) -> str:
    """Compare with shuffled columns, and with log1p where the tail is heavy."""
    structure, tail = record.get("structure"), record.get("tail")
    parts = []
    if structure:
        parts += [
            paragraph(sentence(structure["sentence"])),
            table(
                ["", "silhouette"],
                [
                    ("your customers", number(structure["silhouette"], digits=3)),
                    (
                        f"the same with shuffled columns, {structure['shuffles']} times",
                        f"{structure['shuffled_mean']:.3f} ± {structure['shuffled_std']:.3f}",
                    ),
                    ("difference in standard deviations", number(structure["z"], digits=1)),
                ],
                caption="Are there groups? Shuffling the columns destroys any that are there",
            ),
        ]
    else:
        parts.append(unknown("whether there are natural groups in the data"))
    if tail:
        parts.append(_tail_table(record, tail))
    return section("structure", "Is there structure?", *parts)


def _tail_table(record: TrainingRecord, tail: Mapping[str, Any]) -> str:
    rows: list[Sequence[object]] = [
        (
            f"share of the variance of Spending_Power that the top {tail['top_share']:.0%} hold",
            share(tail["variance"]),
        ),
        ("skew", number(tail["skew"], digits=1)),
        ("skew after log1p", number(tail["skew_log1p"], digits=1)),
    ]
    if other := tail.get("log1p"):
        rows += [
            ("with --transform log1p: number of segments", other["k"]),
            ("with --transform log1p: silhouette", number(other["silhouette"], digits=3)),
            ("with --transform log1p: stability", number(other["stability"], digits=2)),
            ("with --transform log1p: smallest segment", share(other["smallest_share"])),
        ]
    used = record.model.transform.value
    return table(
        ["", "figure"], rows, caption=f"The tail of Spending_Power (this version: --transform {used})"
    )


def associations_section(record: TrainingRecord) -> str:
    """Show how columns that the model never sees are spread over the segments."""
    found = record.get("associations")
    title = "Columns the model does not use"
    if found is None:
        return section("associations", title, unknown("how dropped columns are spread over the segments"))
    if not found:
        return section("associations", title, paragraph("The files had no such column."))
    parts = []
    for one in found:
        names = record.names()
        rows = [
            [names.get(int(identity), identity), *(number(counts.get(value, 0)) for value in one["values"])]
            for identity, counts in one["table"].items()
        ]
        parts += [
            paragraph(sentence(one["sentence"])),
            folded(
                f"Customers by {one['column']}",
                table(["segment", *one["values"]], rows, caption=f"Customers by {one['column']}"),
            ),
        ]
    parts.append(
        paragraph(
            "Cramér's V is 0 without any association and 1 with a complete one. None of these columns is "
            "ever an input of the model.",
            kind="note",
        )
    )
    return section("associations", title, *parts)


def data_section(record: TrainingRecord) -> str:
    """Show what was read, used, rejected and filled in."""
    data = record.get("data")
    title = "The data"
    if not data:
        return section("data", title, unknown("what data it was trained on"))
    rows: list[Sequence[object]] = [
        ("records read", number(data["read"])),
        ("used", number(data["used"])),
        ("rejected", number(data["rejected"])),
        ("blank rows", number(data["blank"])),
        ("without an income, taken as the median", number(data["income_imputed"])),
        ("without a purchase, counted as one", number(data["no_purchases"])),
    ]
    if data.get("duplicate_ids") is not None:
        rows.append(("with an id that was there before", number(data["duplicate_ids"])))
    parts = [table(["", "customers"], rows, caption="What became of the records")]
    if data.get("rejected_by_reason"):
        parts.append(
            table(
                ["reason", "records"],
                [
                    (reason, number(count))
                    for reason, count in sorted(
                        data["rejected_by_reason"].items(), key=lambda item: (-item[1], item[0])
                    )
                ],
                caption="Why records were rejected",
            )
        )
    if data.get("columns"):
        parts.append(table(["column", "is"], list(data["columns"].items()), caption="Columns by other names"))
    if data.get("ignored_columns"):
        parts.append(paragraph(f"Columns not used: {', '.join(data['ignored_columns'])}.", kind="note"))
    return section("data", title, *parts)


def reproduce_section(record: TrainingRecord, provenance: Provenance, *, version: str | None) -> str:
    """Say how to get the same model again, and by what it is known to be the same."""
    asked = record.get("hyperparameters") or {}
    data = record.get("data") or {}
    options = [f"--k {asked.get('k', len(record.model.segments))}"]
    if record.model.transform.value != "none":
        options.append(f"--transform {record.model.transform.value}")
    if asked.get("seed", 42) != 42:
        options.append(f"--seed {asked['seed']}")
    options += [f"--map '{target}={source}'" for target, source in (data.get("columns") or {}).items()]
    previous = (record.get("lineage") or {}).get("previous")
    if previous:
        options.append(f"--previous {previous}")
    names = [str(file["name"]).replace("\\", "/").rsplit("/", 1)[-1] for file in data.get("files") or ()]
    command = " ".join(["segserve train", *(names or ["customers.csv"]), *options])
    rows = [
        ("model digest", record.model.digest),
        ("data digest", provenance.data_digest),
        ("code revision", provenance.git_revision or "\N{EN DASH}"),
        ("Python", provenance.python),
        *provenance.libraries.items(),
    ]
    if version:
        rows.insert(0, ("version", version))
    return section(
        "reproduce",
        "How to get this again",
        f"<pre tabindex='0'><code>{text(command)}</code></pre>",
        paragraph(
            "The same customers and options give the same model digest, whatever the file's dialect, "
            "the order of its rows or the machine."
        ),
        table(["", ""], rows, caption="Where it comes from"),
    )
