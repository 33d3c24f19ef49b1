"""Run all clauses on an image, starting its containers as SageMaker does."""

import contextlib
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from service.conformance import image as inspection
from service.conformance import lifecycle, multi_model, training, variations
from service.conformance.clause import Clause, Needs
from service.conformance.clauses import CLAUSES
from service.conformance.container import inspect_image
from service.conformance.hosting import START_S, Image, started
from service.conformance.http_checks import HTTP_CHECKS, check_multi_model, check_server, select
from service.conformance.lifecycle import Hosted
from service.conformance.samples import DEFAULT_SAMPLES, Sample
from service.conformance.server import OK
from service.conformance.verdict import NotApplicable, Verdict, judge
from service.conformance.wire import Answer
from service.contract import INVOCATION_TIMEOUT_S, PREFIX
from service.errors import ConfigurationError, ConformanceError

TRAINING_TIMEOUT_S: Final = 3600
MODEL_FOR_MANY: Final = f"{PREFIX}/models/conformance/model"
"""C68: where the platform puts a model. Source: AWS guide, "Custom Containers Contract for
Multi-Model Endpoints"."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold what to check an image with."""

    image: str
    model_dir: Path | None = None
    """The unpacked model."""
    model_tar: Path | None = None
    """The packed one."""
    train_data: Path | None = None
    """A file or folder for the training channel; without it the training clauses are left out."""
    channel: str = "train"
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    requests: Sequence[Sample] = ()
    """What the server ought to answer; default: what segserve's models take."""
    only: Collection[str] = ()
    """Ids of clauses; default: all."""
    is_multi_model: bool = False
    """Check the routes of many models even without the image's label for them."""
    timeout_s: float = INVOCATION_TIMEOUT_S
    """For one answer."""
    start_timeout_s: float = START_S
    """From the start of a container to its first healthy ping."""


def run_image_checks(plan: Plan) -> Iterator[Verdict]:
    """Yield a verdict for each clause, as soon as it is known; takes a minute or two.

    Raises:
        ConfigurationError: The plan cannot be followed: a path or a clause is not there.
        ConformanceError: There is no engine or no image, or the engine fails.
    """
    clauses = select(plan.only)
    for path in (plan.model_dir, plan.model_tar, plan.train_data):
        if path is not None and not path.exists():
            raise ConfigurationError(f"{path} is not there")
    if plan.model_dir is not None and not plan.model_dir.is_dir():
        raise ConfigurationError(f"{plan.model_dir} is no folder; an archive is given with --model-tar")
    if plan.model_dir is not None and plan.model_tar is not None:
        raise ConfigurationError("--model-dir and --model-tar exclude each other")
    return _run(plan, clauses)


def _run(plan: Plan, clauses: Collection[Clause]) -> Iterator[Verdict]:
    inspected = inspect_image(plan.image)
    # A container that is root leaves files of root behind, which an ordinary user cannot remove.
    with tempfile.TemporaryDirectory(prefix="conform-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        model = plan.model_dir
        if plan.model_tar is not None:
            model = _unpack(plan.model_tar, folder / "model")
        image = Image(
            plan.image,
            inspected,
            model,
            plan.requests or DEFAULT_SAMPLES,
            is_default=not plan.requests,
            timeout_s=plan.timeout_s,
            start_timeout_s=plan.start_timeout_s,
        )
        looked_at = inspection.Inspection(image, plan.model_tar)
        for clause_id, look in inspection.CHECKS:
            if CLAUSES[clause_id] in clauses:
                yield judge(clause_id, look, looked_at)
        yield from _check_hosting(image, clauses)
        yield from _check_many(image, clauses, is_asked=plan.is_multi_model)
        if plan.train_data is not None:
            job = training.Job(plan.train_data, plan.channel, plan.hyperparameters, TRAINING_TIMEOUT_S)
            subject = training.Training(image, job, folder / "jobs")
            for clause_id, check in training.CHECKS:
                if CLAUSES[clause_id] in clauses:
                    yield judge(clause_id, check, subject)


def _check_hosting(image: Image, clauses: Collection[Clause]) -> Iterator[Verdict]:
    """Check one container from start to end, and then some others."""
    hosted_ids = {clause.id for clause in clauses if clause.needs in {Needs.URL, Needs.IMAGE}}
    if not hosted_ids - {clause_id for clause_id, _ in inspection.CHECKS}:
        return
    with started(image) as start:
        hosted = Hosted(image, start)
        for clause_id, check in lifecycle.STARTED_CHECKS:
            if clause_id in hosted_ids:
                yield judge(clause_id, check, hosted)
        answers = is_reachable = False
        try:
            server = hosted.server()
        except NotApplicable as exc:
            yield from _skip(str(exc), [name for name, _ in HTTP_CHECKS if name in hosted_ids], hosted)
        else:
            yield from check_server(server, clauses)
            firsts = [server.first_answer(sample) for sample in server.samples]
            answers = any(isinstance(first, Answer) and first.status == OK for first in firsts)
            is_reachable = variations.is_directly_reachable(start)
        for clause_id, check in lifecycle.USED_CHECKS:
            if clause_id in hosted_ids:
                yield judge(clause_id, check, hosted)
    subject = variations.Variations(image, start, answers=answers, is_reachable=is_reachable)
    for clause_id, vary in variations.CHECKS:
        if clause_id in hosted_ids:
            yield judge(clause_id, vary, subject)


def _check_many(image: Image, clauses: Collection[Clause], *, is_asked: bool) -> Iterator[Verdict]:
    """Check the routes of many models where the image says that it has them, or somebody does."""
    if not any(clause.needs is Needs.MULTI_MODEL for clause in clauses):
        return
    is_labelled = image.label(multi_model.LABEL).lower() == "true"
    if not is_labelled and not is_asked:
        return
    if image.model is None:
        raise ConfigurationError(
            "the image serves many models: give one of them with --model-dir or --model-tar"
        )
    volume = f"{image.model.resolve()}:{MODEL_FOR_MANY}:ro"
    with started(image, environment={multi_model.MULTI_MODEL: "true"}, volumes=(volume,)) as start:
        hosted = Hosted(image, start)
        try:
            server = hosted.server()
        except NotApplicable as exc:
            yield from _skip(f"with {multi_model.MULTI_MODEL}=true {exc}", ["C69"], hosted)
        else:
            yield from check_multi_model(server, clauses, MODEL_FOR_MANY)


def _skip(reason: str, clause_ids: Sequence[str], hosted: Hosted) -> Iterator[Verdict]:
    def check(_: Hosted) -> None:
        raise NotApplicable(reason)

    for clause_id in clause_ids:
        yield judge(clause_id, check, hosted)


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack a model as SageMaker does before it starts the container; C35 judges the archive itself."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        try:
            packed = stack.enter_context(tarfile.open(archive))
            packed.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as exc:
            raise ConformanceError(f"{archive} cannot be unpacked: {exc}") from exc
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))
    return folder
