"""Compose the command line."""

from collections.abc import Sequence
from typing import Annotated

import typer

import service
from service import exits
from service.commands import (
    bench,
    conform,
    costs,
    deploy,
    drift,
    endpoints,
    local,
    models,
    push,
    report,
    score,
    serve,
    simulate,
    sql,
    train,
)
from service.commands import sample_data as sample
from service.exits import leave
from service.logs import log_warnings

app = typer.Typer(
    name="segserve",
    help="Turn a CSV of customers into a segmentation service, alike on a laptop and on Amazon SageMaker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("serve")(serve.serve)
app.command("demo")(serve.demo)
app.command("score")(score.score)
app.command("report")(report.report)
app.command("drift")(drift.drift)
app.command("sample-data")(sample.sample_data)
app.command("bench")(bench.bench)
app.command("conform")(conform.conform)
app.add_typer(models.app, name="models")
app.add_typer(local.app, name="local")
app.add_typer(sql.app, name="sql")
app.command("push")(push.push)
app.command("deploy")(deploy.deploy)
app.command("status")(endpoints.status)
app.command("invoke")(endpoints.invoke)
app.command("update")(deploy.update)
app.command("rollback")(deploy.rollback)
app.command("autoscale")(endpoints.autoscale)
app.command("simulate")(simulate.simulate)
app.command("delete")(endpoints.delete)
app.command("costs")(costs.costs)


def _print_version(value: bool) -> None:  # noqa: FBT001  # typer's callback
    if value:
        typer.echo(f"segserve {service.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool | None,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = None,
) -> None:
    log_warnings()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 usage, 3 cannot start, 4 a check failed."""
    leave(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an error is one message on stderr, never a trace."""
    return exits.run(lambda: app(arguments, prog_name="segserve"))
