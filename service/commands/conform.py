"""Check a container or server against SageMaker's contract: `segserve conform`."""

import contextlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import JsonOption
from service.errors import ConfigurationError, ConformanceError

if TYPE_CHECKING:
    from rich.console import Console

    from service.conformance.clause import Clause
    from service.conformance.report import Report
    from service.conformance.verdict import Verdict

COLOURS = {"pass": "green", "fail": "red", "warn": "yellow", "skip": "bright_black"}


class ReportFormat(StrEnum):
    """Name the forms of a report; those of the room, which is not imported for a help text."""

    JSON = "json"
    JUNIT = "junit"
    HTML = "html"


def conform(
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="Of a running server.", show_default=False)
    ] = None,
    *,
    image: Annotated[
        str | None,
        typer.Option(
            help="Start this image as SageMaker does, and check it from start to end.", show_default=False
        ),
    ] = None,
    model_dir: Annotated[
        Path | None, typer.Option(help="Unpacked model, mounted at /opt/ml/model.", show_default=False)
    ] = None,
    model_tar: Annotated[
        Path | None, typer.Option(help="Packed model, unpacked as SageMaker does.", show_default=False)
    ] = None,
    train_data: Annotated[
        Path | None,
        typer.Option(help="File or folder for a training job, which is checked too.", show_default=False),
    ] = None,
    channel: Annotated[str, typer.Option(help="Channel that the training data goes to.")] = "train",
    hyperparameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="For the training job. Repeatable.", show_default=False),
    ] = None,
    request: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE:CONTENT_TYPE",
            help="A request that is to be answered with 200. Repeatable. Default: what segserve's models "
            "take, as JSON, CSV and JSON Lines.",
            show_default=False,
        ),
    ] = None,
    multi_model: Annotated[
        bool,
        typer.Option("--multi-model", help="Check the routes of many models even without the image's label."),
    ] = False,
    model_url: Annotated[
        str | None,
        typer.Option(
            help="With URL: where a server of many models finds one to load; checks their routes.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLAUSE",
            help="Check this clause, or several with commas. Repeatable.",
            show_default=False,
        ),
    ] = None,
    list_clauses: Annotated[
        bool, typer.Option("--list", help="List the clauses and what each needs; check nothing.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 60,
    start_timeout: Annotated[
        float, typer.Option(min=1, help="Seconds from the start of a container to its first healthy ping.")
    ] = 480,
    report: Annotated[
        ReportFormat | None, typer.Option(help="Write a report in this form.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File for the report. Default: stdout.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check any container or server against SageMaker's contract, clause by clause."""
    from service.conformance.http_checks import run_checks, select
    from service.conformance.image_checks import Plan, run_image_checks
    from service.conformance.report import make_report
    from service.conformance.samples import read_sample

    names = [name for entry in only or [] for name in entry.split(",")]
    form = ReportFormat.JSON if as_json else report
    if list_clauses:
        _print_clauses(select(names), as_json=as_json)
        return
    if (url is None) == (image is None):
        raise ConfigurationError("conform needs the URL of a running server, or --image IMAGE, and not both")
    if as_json and report is not None:
        raise ConfigurationError("--json and --report exclude each other; --json is --report json on stdout")
    if output is not None and form is None:
        raise ConfigurationError("--output needs --report json, junit or html")
    requests = [read_sample(specification) for specification in request or []]
    if url is not None:
        _refuse_with_url(model_dir, model_tar, train_data, is_many=multi_model)
        verdicts = run_checks(url, requests=requests, only=names, timeout_s=timeout, model_url=model_url)
    else:
        plan = Plan(
            image or "",
            model_dir=model_dir,
            model_tar=model_tar,
            train_data=train_data,
            channel=channel,
            hyperparameters=_pairs(hyperparameter or []),
            requests=requests,
            only=names,
            is_multi_model=multi_model,
            timeout_s=timeout,
            start_timeout_s=start_timeout,
        )
        verdicts = run_image_checks(plan)
    target = url or image or ""
    is_stdout_taken = form is not None and output is None
    found = _show(verdicts, is_on_stderr=is_stdout_taken)
    for clause in select(names) if names else ():
        if clause.id not in {verdict.clause.id for verdict in found}:
            typer.echo(f"{clause.id} was not checked: it needs {clause.needs.value}", err=True)
    if not found:
        raise ConformanceError("no clause was checked, which proves nothing; see segserve conform --list")
    _finish(make_report(target, found), form, output)


def _finish(report: "Report", form: ReportFormat | None, output: Path | None) -> None:
    from service.conformance.report import Format, render

    if form is not None:
        text = render(report, Format(form.value))
        if output is None:
            typer.echo(text, nl=False)
        else:
            _write(output, text)
    typer.echo(f"{report.summary}{f'. Report: {output}' if output else ''}", err=form is not None)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _show(verdicts: "Iterator[Verdict]", *, is_on_stderr: bool) -> "Sequence[Verdict]":
    """Print each verdict as it comes; what is wrong with all that helps to mend it."""
    from service.commands.output import console

    out = console()
    out.stderr = is_on_stderr
    found = []
    with out.status("Checking...") if out.is_terminal else contextlib.nullcontext():
        for verdict in verdicts:
            found.append(verdict)
            _print_verdict(out, verdict)
    return found


def _print_verdict(out: "Console", verdict: "Verdict") -> None:
    from rich.text import Text

    clause = verdict.clause
    outcome = verdict.outcome.value
    line = Text.assemble(
        f"{clause.id:<5}", (f"{outcome:<5}", COLOURS[outcome]), f"{clause.force.value:<9}", clause.sentence
    )
    out.print(line)
    details = {"": verdict.reason}
    if verdict.mend:
        details |= {"sent: ": verdict.sent, "received: ": verdict.received, "mend: ": verdict.mend}
    for name, value in details.items():
        if value:
            out.print(Text(f"{'':19}{name}{value}", COLOURS[outcome] if not name else "default"))


def _print_clauses(clauses: "Sequence[Clause]", *, as_json: bool) -> None:
    from service.commands.output import print_json

    if as_json:
        print_json([clause.as_dict() for clause in clauses])
        return
    for clause in clauses:
        typer.echo(f"{clause.id:<5}{clause.force.value:<9}{clause.sentence} (needs {clause.needs.value})")


def _pairs(entries: Sequence[str]) -> dict[str, str]:
    for entry in entries:
        if not entry.partition("=")[1] or not entry.partition("=")[0]:
            raise ConfigurationError(f"--hyperparameter {entry} is not NAME=VALUE")
    return {entry.partition("=")[0]: entry.partition("=")[2] for entry in entries}


def _refuse_with_url(*paths: Path | None, is_many: bool) -> None:
    if is_many or any(path is not None for path in paths):
        raise ConfigurationError(
            "--model-dir, --model-tar, --train-data and --multi-model start containers: they need --image"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"--output: {path} cannot be written ({exc.strerror})") from exc
