"""Start the server: what `segserve serve` does once its options are read; see `plain`."""

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.settings import Settings


def start(**options: Any) -> None:
    """Serve a model until SIGTERM.

    Args:
        options: Settings by field name; None counts as not given.
    """
    from service.imports import importing

    with importing():
        from service.logs import configure_logging
        from service.serving.server import serve
        from service.settings import read_settings

    settings = read_settings(**options)
    configure_logging(settings.log_level, is_json=settings.logs_json)
    if _is_lost_training_job(settings):
        from service.commands.training_run import train_job

        train_job(settings)
        return
    serve(settings, on_ready=_log_ready if settings.logs_json else _announce)


def _is_lost_training_job(settings: "Settings") -> bool:
    """Tell whether this is a training job without its command: the SDK's local trainer passes no `train`."""
    from pathlib import Path

    from service.store import Store

    has_model = settings.model is not None or Store(Path(settings.store)).latest() is not None
    return settings.has_training_tree and not settings.has_unpacked_model and not has_model


def _log_ready(url: str) -> None:
    logging.getLogger(__name__).info("Ready on %s", url)


def _announce(url: str) -> None:
    sys.stderr.write(f"Ready on {url}\nTry: curl -d '[[25, 1250.0], [45, 3000.5]]' {url}/invocations\n")
    sys.stderr.flush()
