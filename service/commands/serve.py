"""Serve a model: `segserve serve` and `segserve demo`."""

import csv
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from service.settings import read_settings

ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|VERSION",
        help="An artifact's path or a version of the store. "
        "Default: /opt/ml/model, else the store's production, else its latest.",
        show_default=False,
    ),
]
StoreOption = Annotated[
    str | None, typer.Option(help="Folder of model versions. Default: models.", show_default=False)
]
PortOption = Annotated[
    int | None, typer.Option(help="Port to listen on, 0 for a free one. Default: 8080.", show_default=False)
]
HostOption = Annotated[
    str | None, typer.Option(help="Address to listen on. Default: 0.0.0.0.", show_default=False)
]
WorkersOption = Annotated[int | None, typer.Option(help="Server processes. Default: 1.", show_default=False)]


def serve(
    *,
    model: ModelOption = None,
    store: StoreOption = None,
    port: PortOption = None,
    host: HostOption = None,
    workers: WorkersOption = None,
) -> None:
    """Serve a model on /ping and /invocations until SIGTERM."""
    from service.serving.server import serve as run  # noqa: PLC0415  # only this command needs a web server

    settings = read_settings(model=model, store=store, port=port, host=host, workers=workers)
    run(settings, on_ready=_announce)


def demo(
    *,
    store: StoreOption = None,
    port: PortOption = None,
    host: HostOption = None,
    workers: WorkersOption = None,
) -> None:
    """Train on the bundled sample if the store is empty, then serve."""
    from service.store import Store  # noqa: PLC0415  # only this command needs a store

    settings = read_settings(store=store)
    if Store(Path(settings.store)).latest() is None:
        _train_on_sample(Path(settings.store))
    serve(store=store, port=port, host=host, workers=workers)


def _train_on_sample(store: Path) -> None:
    from service.commands.train import train  # noqa: PLC0415  # training is heavy
    from service.training.sample import SAMPLE_COLUMNS, sample_customers  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(SAMPLE_COLUMNS)
            writer.writerows(sample_customers())
        train([path], k="4", store=str(store))


def _announce(url: str) -> None:
    typer.echo(f"Ready on {url}\nTry: curl -d '[[25, 1250.0], [45, 3000.5]]' {url}/invocations", err=True)
