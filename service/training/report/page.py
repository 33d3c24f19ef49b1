"""Compose the report of a version: one HTML file with everything in it."""

import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Final

from service.artifact import Artifact, Provenance
from service.errors import CorruptArtifactError
from service.training.record import TrainingRecord, read_record
from service.training.report import charts, sections
from service.training.report.cards import persona_cards
from service.training.report.customer_map import map_chart
from service.training.report.markup import Chart, figure, paragraph, script_json, section, sentence, text

_PLACE: Final = re.compile(r"\{\{([A-Z]+)\}\}")

Draw = Callable[..., str]
"""Take charts, and return their figures."""

_POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""The file fetches nothing and sends nothing, and the browser sees to it."""


def render_artifact(artifact: Artifact, *, previous_names: Mapping[int, str] | None = None) -> bytes:
    """Return the report of a version that is in a store.

    Raises:
        CorruptArtifactError: Its training.json is not what training writes.
    """
    manifest = artifact.manifest
    return render(
        read_record(artifact),
        manifest.provenance,
        version=manifest.model_version,
        created=manifest.created,
        previous_names=previous_names,
    )


def render(
    record: TrainingRecord,
    provenance: Provenance,
    *,
    version: str | None = None,
    created: str | None = None,
    previous_names: Mapping[int, str] | None = None,
) -> bytes:
    """Return the report; the same for the same arguments.

    Args:
        record: The model and what training wrote down.
        provenance: Where it comes from.
        version: Its id; None while it is trained, since the id depends on the report.
        created: When it was trained, ISO 8601.
        previous_names: What the previous version's segments are called, by id.

    Raises:
        CorruptArtifactError: The record is not what training writes.
    """
    try:
        drawn, body = _compose(record, provenance, version=version, previous_names=previous_names or {})
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise CorruptArtifactError(f"training.json is not what training writes: {exc!r:.200}") from exc
    trained = f"Version {version}, trained {created[:10]}. " if version and created else ""
    subtitle = f"{trained}Model digest {record.model.digest[:12]}."
    contents = {
        "POLICY": _POLICY,
        "STYLE": _read("report.css"),
        "SUBTITLE": text(subtitle),
        "BODY": body,
        "DATA": script_json({chart.id: chart.option for chart in drawn}),
        "LIBRARY": _read("echarts.min.js"),
        "SCRIPT": _read("report.js"),
    }
    return _PLACE.sub(lambda place: contents[place[1]], _read("page.html")).encode()


def _compose(
    record: TrainingRecord,
    provenance: Provenance,
    *,
    version: str | None,
    previous_names: Mapping[int, str],
) -> tuple[list[Chart], str]:
    segments = record.get("segments")
    logarithmic = charts.is_logarithmic(record)
    the_map = map_chart(record.model, record.sample, logarithmic=logarithmic)
    drawn = [the_map]

    def draw(*made: Chart) -> str:
        drawn.extend(made)
        return "".join(figure(chart) for chart in made)

    fidelity = record.get("explanation")
    parts = [
        sections.verdict(record),
        section(
            "personas",
            "Who they are",
            persona_cards(record.model.segments, segments),
            paragraph(
                f"The rules in short are a decision tree of depth {fidelity['depth']}; it gives "
                f"{fidelity['fidelity']:.1%} of the customers the segment that the model gives them.",
                kind="note",
            )
            if fidelity
            else "",
        ),
        section(
            "map-section",
            "Where they stand",
            figure(the_map),
            "" if record.sample else sections.unknown("single customers"),
        ),
        section(
            "apart",
            "What sets them apart",
            draw(charts.importance_chart(segments))
            if segments
            else sections.unknown("how the segments differ"),
            f'<div class="pair">{draw(*charts.box_charts(segments, logarithmic=logarithmic))}</div>'
            if segments
            else "",
        ),
        section(
            "fit",
            "How well they fit",
            draw(charts.silhouette_chart(segments))
            if segments
            else sections.unknown("how well customers fit"),
        ),
        _number_section(record, draw(charts.sweep_chart(sweep, chosen=len(record.model.segments))))
        if (sweep := record.get("sweep"))
        else section("number", "How many segments", paragraph("k was given, so no other was tried.")),
        sections.structure_section(record),
        _migration_section(record, draw, previous_names),
        sections.associations_section(record),
        sections.data_section(record),
        sections.reproduce_section(record, provenance, version=version),
    ]
    return drawn, "".join(parts)


def _number_section(record: TrainingRecord, chart: str) -> str:
    choice = record.get("choice")
    reason = paragraph(sentence(choice["reason"])) if choice else ""
    return section("number", "How many segments", reason, chart, sections.rules_table(choice))


def _migration_section(record: TrainingRecord, draw: Draw, previous_names: Mapping[int, str]) -> str:
    lineage = record.get("lineage")
    title = "What changed since the previous version"
    if not lineage:
        return section("migration-section", title, sections.unknown("which version it follows"))
    if not lineage.get("previous"):
        return section("migration-section", title, paragraph("There was no previous version."))
    how = {
        "warm-start": "The fit started from the previous version's centroids, so ids and names carry on.",
        "matched": "The fit started anew, and its segments were matched with the previous version's.",
    }.get(lineage["method"], "The fit started anew.")
    parts = [paragraph(f"It follows {lineage['previous']}. {how}")]
    if lineage.get("born"):
        parts.append(paragraph(f"New segments: {', '.join(map(str, lineage['born']))}."))
    if lineage.get("migration"):
        parts.append(
            draw(charts.migration_chart(lineage["migration"], model=record.model, before=previous_names))
        )
    else:
        parts.append(sections.unknown("who moved between the segments"))
    return section("migration-section", title, *parts)


def _read(name: str) -> str:
    return resources.files("service.training.report").joinpath("static", name).read_text(encoding="utf-8")
