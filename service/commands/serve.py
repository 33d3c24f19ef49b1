"""Serve a model: `segserve serve` and `segserve demo`."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import StoreOption

if TYPE_CHECKING:
    from service.settings import Settings

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
    from service.logs import configure_logging
    from service.serving.server import serve as run
    from service.settings import read_settings

    settings = read_settings(model=model, store=store, port=port, host=host, workers=workers)
    configure_logging(settings.log_level, is_json=settings.logs_json)
    if _is_lost_training_job(settings):
        from service.commands.train import train_job

        train_job(settings)
        return
    run(settings, on_ready=_log_ready if settings.logs_json else _announce)


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


def _is_lost_training_job(settings: "Settings") -> bool:
    """Tell whether this is a training job without its command: the SDK's local trainer passes no `train`."""
    from service.store import Store

    has_model = settings.model is not None or Store(Path(settings.store)).latest() is not None
    return settings.has_training_tree and not settings.has_unpacked_model and not has_model


def _train_on_sample(store: Path) -> None:
    from service.commands.train import train
    from service.training.sample import write_sample

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.csv"
        write_sample(path)
        train([path], k="4", store=str(store))


def _log_ready(url: str) -> None:
    logging.getLogger(__name__).info("Ready on %s", url)


def _announce(url: str) -> None:
    typer.echo(f"Ready on {url}\nTry: curl -d '[[25, 1250.0], [45, 3000.5]]' {url}/invocations", err=True)
