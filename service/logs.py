"""Set up logging: one event a line, on stderr (C41). Only commands call it."""

import logging.config
from typing import Any


def log_config(level: str) -> dict[str, Any]:
    """Return the set-up as `logging.config` and uvicorn take it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {"uvicorn": {"level": "WARNING" if level == "info" else level.upper()}},
    }


def configure_logging(level: str) -> None:
    """Log from `level` on, in this process."""
    logging.config.dictConfig(log_config(level))
