"""Serve a model: `segserve serve` and `segserve demo`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import StoreOption

ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|VERSION",
        help="An artifact's path or a version of the store. "
        "Default: /opt/ml/model, else the store's production, else its latest.",
        show_default=False,
    ),
]
PortOption = Annotated[
    int | None, typer.Option(help="Port to listen on, 0 for a free one. Default: 8080.", show_default=False)
]
HostOption = Annotated[
    str | None,
    typer.Option(
        help="Address to listen on. Default: 127.0.0.1, and 0.0.0.0 in a container.", show_default=False
    ),
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
    from service.commands.start import start

    start(model=model, store=store, port=port, host=host, workers=workers)


def demo(
    *,
    store: StoreOption = None,
    port: PortOption = None,
    host: HostOption = None,
    workers: WorkersOption = None,
) -> None:
    """Train on the bundled sample if the store is empty, then serve."""
    from service.settings import read_settings
    from service.store import Store

    settings = read_settings(store=store)
    if Store(Path(settings.store)).latest() is None:
        _train_on_sample(Path(settings.store))
    serve(store=store, port=port, host=host, workers=workers)


def _train_on_sample(store: Path) -> None:
    from service.commands.training_run import train_version
    from service.training.sample import write_sample

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.csv"
        write_sample(path)
        train_version([str(path)], k="4", store=str(store))
