"""Write the answer to an invocation: labels alone, or everything that is known of each record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, assert_never

import orjson

from service.lazy import np, npt
from service.model import SegmentModel
from service.serving.media import Media
from service.serving.reasons import Reasons, rule_of
from service.serving.turns import RECORDS_A_TURN, pass_on

_BAD_TEXT: Final = "ERROR"
"""Source: AWS guide, "Batch transform errors": the placeholder for a record that failed (C56)."""
_BAD_LABEL: Final = -1
_FEW: Final = 64
"""Up to here joining text is faster than numpy."""


def encode_labels(labels: npt.NDArray[np.int32], *, bad: frozenset[int], media: Media, k: int) -> bytes:
    """Return the labels, with a placeholder for each bad record.

    Args:
        labels: A segment's id for each record, shape (n_samples,).
        bad: Positions of the bad records.
        media: Format of the answer.
        k: All labels are below it.
    """
    if media is Media.NPY:
        return _npy(labels, bad)
    if not bad and k <= 10 and len(labels) > _FEW:
        return _encode_digits(labels, media)
    texts = [str(label) for label in labels.tolist()]
    for position in bad:
        texts[position] = _BAD_TEXT if media is Media.CSV else "null"
    if media is Media.JSON:
        return f"[{', '.join(texts)}]".encode()
    return "".join(f"{text}\n" for text in texts).encode()


def encode_details(
    vectors: npt.NDArray[np.float64],
    *,
    bad: frozenset[int],
    media: Media,
    model: SegmentModel,
    rules: Mapping[int, str] | None = None,
) -> bytes:
    """Return cluster, distances, segment, confidence, second best, flags and reason of each record.

    The JSON form is a superset of what SageMaker's built-in K-Means answers.
    """
    details = (
        None if position in bad else detail
        for position, detail in enumerate(describe_records(vectors, model=model, rules=rules))
    )
    match media:
        case Media.JSON:
            return b'{"predictions":[%b]}' % _join(details, separator=b",")[:-1]
        case Media.JSON_LINES:
            return _join(details, separator=b"\n")
        case Media.CSV:
            return _csv(details)
        case Media.NPY:
            raise AssertionError("refused when the request was planned")
        case _:
            assert_never(media)


def describe_records(
    vectors: npt.NDArray[np.float64], *, model: SegmentModel, rules: Mapping[int, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what is known of each record.

    Args:
        vectors: Unscaled features, shape (n_samples, 2), in FEATURE_NAMES order.
        model: Says what the segments are called and what is an outlier.
        rules: The rule in words of each segment, by id, where training found them.
    """
    reasons = Reasons(model)
    for start in range(0, len(vectors), RECORDS_A_TURN):
        if start:
            pass_on()
        # A block at a time, so that their many numbers need not all be there at once.
        yield from _describe_block(vectors[start : start + RECORDS_A_TURN], model, reasons, rules)


def _describe_block(
    vectors: npt.NDArray[np.float64], model: SegmentModel, reasons: Reasons, rules: Mapping[int, str] | None
) -> Iterator[dict[str, Any]]:
    names = [segment.name for segment in model.segments]
    numbers = [float(number) for number in model.ids]
    known = [rule_of(rules, number) for number in model.ids]
    evidence = model.explain(vectors)
    for (
        record,
        distances,
        position,
        distance,
        second,
        second_distance,
        confidence,
        is_outlier,
        is_border,
    ) in zip(
        vectors.tolist(),
        model.partition.distances(vectors).tolist(),
        evidence.positions.tolist(),
        evidence.distances.tolist(),
        evidence.second_positions.tolist(),
        evidence.second_distances.tolist(),
        evidence.confidences.tolist(),
        evidence.is_outlier.tolist(),
        evidence.is_border.tolist(),
        strict=True,
    ):
        yield {
            "closest_cluster": numbers[position],
            "distance_to_cluster": distance,
            "segment": names[position],
            "confidence": confidence,
            "second": None
            if second < 0
            else {
                "closest_cluster": numbers[second],
                "distance_to_cluster": second_distance,
                "segment": names[second],
            },
            "outlier": is_outlier,
            "border": is_border,
            "distances": dict(zip(model.id_texts, distances, strict=True)),
            "why": reasons.explain(record, cluster=position, second=second),
            **known[position],
        }


def _encode_digits(labels: npt.NDArray[np.int32], media: Media) -> bytes:
    """Return labels of one digit each, by filling a template."""
    separator = b", " if media is Media.JSON else b"\n"
    text = bytearray((b"0" + separator) * len(labels))
    digits = np.frombuffer(text, dtype=np.uint8)[:: 1 + len(separator)]
    digits += labels.astype(np.uint8)
    return b"[%b]" % bytes(text[: -len(separator)]) if media is Media.JSON else bytes(text)


def _npy(labels: npt.NDArray[np.int32], bad: frozenset[int]) -> bytes:
    if bad:
        labels = labels.copy()
        labels[list(bad)] = _BAD_LABEL
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, labels, allow_pickle=False)
    return buffer.getvalue()


def _join(details: Iterable[Mapping[str, Any] | None], *, separator: bytes) -> bytes:
    """Return each as JSON with a separator after it; each is let go once it is written."""
    buffer = io.BytesIO()
    for detail in details:
        buffer.write(orjson.dumps(detail))
        buffer.write(separator)
    return buffer.getvalue()


def _csv(details: Iterable[Mapping[str, Any] | None]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    for detail in details:
        writer.writerow(
            [_BAD_TEXT]
            if detail is None
            else [
                int(detail["closest_cluster"]),
                detail["distance_to_cluster"],
                detail["segment"],
                detail["confidence"],
            ]
        )
    return buffer.getvalue().encode()
