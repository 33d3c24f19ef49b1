"""Set up logging: one event a line (C41), for people on stderr or as JSON on stdout."""

import json
import logging
import logging.config
import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class LogFormat(StrEnum):
    """Name the forms of a log line."""

    TEXT = "text"
    JSON = "json"
    AUTO = "auto"
    """JSON unless stdout is a terminal: what the image asks for."""


def logs_json(log_format: LogFormat) -> bool:
    """Tell whether lines are JSON."""
    return log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not sys.stdout.isatty())


def timestamp(time_s: float, *, is_json: bool) -> str:
    """Return a Unix time as log lines have it: local for people, UTC for programs."""
    if is_json:
        return f"{datetime.fromtimestamp(time_s, UTC).isoformat(timespec='milliseconds')[:-6]}Z"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(time_s))},{int(time_s % 1 * 1000):03d}"


class JsonFormatter(logging.Formatter):
    """Write an event as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": timestamp(record.created, is_json=True),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_warnings() -> None:
    """Show what commands have to warn of, on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


def log_config(level: str, *, is_json: bool = False) -> dict[str, Any]:
    """Return the set-up as `logging.config` and uvicorn take it."""
    text = {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter} if is_json else text},
        "handlers": {
            "lines": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": f"ext://sys.{'stdout' if is_json else 'stderr'}",
            }
        },
        "root": {"handlers": ["lines"], "level": level.upper()},
        "loggers": {"uvicorn": {"level": "WARNING" if level == "info" else level.upper()}},
    }


def configure_logging(level: str, *, is_json: bool = False) -> None:
    """Log from `level` on, in this process."""
    logging.config.dictConfig(log_config(level, is_json=is_json))
