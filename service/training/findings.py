"""Gather what training finds out about a model beside the model itself: all that training.json tells."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from service.features import SPENDING_POWER
from service.model import SegmentModel
from service.training.arithmetic import Arithmetic
from service.training.association import Association, find_associations
from service.training.baseline import take_baseline
from service.training.candidates import Candidate
from service.training.dataset import Dataset
from service.training.explanation import Explanation, explain_segments
from service.training.population import Population
from service.training.profile import SilhouetteSample, Statistics, describe_all, profile_segments
from service.training.selection import Choice
from service.training.structure import Structure
from service.training.tail import Tail, measure_tail


@dataclass(frozen=True, slots=True)
class Findings:
    """Hold what was found out, in the parts of training.json."""

    silhouette: float
    candidates: Sequence[Candidate]
    choice: Choice
    structure: Structure
    tail: Tail
    segments: Sequence[Mapping[str, Any]]
    overall: Statistics
    explanation: Explanation
    associations: Sequence[Association]
    baseline: Mapping[str, Any]

    @property
    def warnings(self) -> list[str]:
        """Return what a user should know before using the segments."""
        found = [] if self.tail.sentence is None else [self.tail.sentence]
        return found + [one.sentence for one in self.associations if one.is_worth_a_warning]

    def as_dict(self) -> dict[str, Any]:
        """Return the parts of training.json."""
        return {
            "sweep": [asdict(candidate) for candidate in self.candidates],
            "choice": asdict(self.choice),
            "structure": asdict(self.structure),
            "tail": asdict(self.tail),
            "segments": list(self.segments),
            "overall": {"statistics": self.overall},
            "explanation": {"fidelity": self.explanation.fidelity, "depth": self.explanation.depth},
            "associations": [asdict(association) for association in self.associations],
            "baseline": dict(self.baseline),
        }


def examine(  # noqa: PLR0913  # what is found out depends on all of it
    dataset: Dataset,
    columns: Mapping[str, npt.NDArray[np.float64]],
    *,
    labels: npt.NDArray[np.int32],
    order: npt.NDArray[np.int64],
    model: SegmentModel,
    choice: Choice,
    candidates: Sequence[Candidate],
    seed: int,
    population: Population,
    structure: Future[Structure],
    arithmetic: Arithmetic,
) -> Findings:
    """Examine a fitted model.

    Args:
        dataset: As it was read.
        columns: The same records in a canonical order.
        labels: Position of each record's segment, in that order.
        order: The position in the data set of each record of `columns`.
        model: The model.
        choice: How its k came about.
        candidates: What was measured of each k.
        seed: Of all samples.
        population: What was fitted: these records, or cells of more customers.
        structure: What will have been found out meanwhile.
        arithmetic: Numpy's or the kernel's.
    """
    vectors = np.column_stack([columns[name] for name in model.features])
    chosen = next((one for one in candidates if one.k == choice.k), None)
    in_file_order = np.empty_like(labels)
    in_file_order[order] = labels
    sample = SilhouetteSample(vectors, labels, model.partition, seed=seed, arithmetic=arithmetic)
    explanation = explain_segments(vectors, labels, k=choice.k, seed=seed)
    return Findings(
        silhouette=sample.mean,
        candidates=candidates,
        choice=choice,
        tail=measure_tail(
            vectors,
            k=choice.k,
            transform=model.transform,
            seed=seed,
            chosen=chosen,
            everyone=(population.columns[SPENDING_POWER], population.weights),
        ),
        segments=profile_segments(
            columns,
            partition=model.partition,
            labels=labels,
            segments=model.segments,
            rules=explanation.rules,
            sample=sample,
        ),
        overall=describe_all(columns),
        explanation=explanation,
        associations=find_associations(dataset.attributes, in_file_order, ids=model.ids),
        baseline=take_baseline(
            columns, labels, ids=model.ids, seed=seed, shares=[segment.share for segment in model.segments]
        ),
        structure=structure.result(),  # the last that is asked for
    )
