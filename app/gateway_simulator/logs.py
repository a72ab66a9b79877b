"""JSON logs, one object per line, on stdout and in a rotating file."""

import logging
import logging.handlers
import os
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

from gateway_simulator.settings import LEVELS, Settings
from redaction import cleaned, redacted

LOGGER = logging.getLogger("gateway_simulator")
FILE_NAME = "gateway.log"
FILE_BYTES = 20 * 1024 * 1024
FILE_BACKUPS = 5

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonFormatter(OrjsonFormatter):
    """Writes timestamp, level, logger, message, request_id and extra, without secrets."""

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill the line. ``record.extra`` is set with ``extra={"extra": {...}}``."""
        extra = dict(getattr(record, "extra", None) or {})
        message = record.getMessage()
        if not message.startswith("event="):  # a library's message
            extra["text"] = message
            message = "event=log"
        extra.update(message_dict)  # exc_info and stack_info, already formatted
        log_data["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat(
            timespec="milliseconds"
        )
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = redacted(message)
        log_data["request_id"] = request_id.get()
        log_data["extra"] = {name: cleaned(name, value) for name, value in extra.items()}


class FollowingFileHandler(logging.handlers.RotatingFileHandler):
    """A rotating file for two processes: gunicorn's master and its worker.

    After the other process has rotated the file, opens the new one instead of writing to the
    renamed one.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to the file that has the path now."""
        if self.stream is not None and _moved(self.stream.fileno(), self.baseFilename):
            self.stream.close()
            self.stream = self._open()
        super().emit(record)


def end_torn_line(path: Path) -> bool:
    """End the last line if a killed process has left it torn; return whether it has.

    The next line would otherwise continue it.
    """
    try:
        with path.open("rb+") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return False
            file.write(b"\n")
    except FileNotFoundError:
        return False
    return True


def _moved(opened: int, name: str) -> bool:
    try:
        return not os.path.samestat(os.fstat(opened), os.stat(name))  # noqa: PTH116 - its pair takes a descriptor
    except FileNotFoundError:
        return True


def event(name: str, level: int = logging.INFO, **extra: Any) -> None:
    """Log an event with its fields (never secrets)."""
    LOGGER.log(level, "event=%s", name, extra={"extra": extra})


def config(settings: Settings) -> dict[str, Any]:
    """Return the logging configuration for logging.config.dictConfig and gunicorn."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "json",
                "level": settings.console_level,
            },
            "file": {
                "()": FollowingFileHandler,
                "filename": str(settings.log_dir / FILE_NAME),
                "maxBytes": FILE_BYTES,
                "backupCount": FILE_BACKUPS,
                "encoding": "utf-8",
                "formatter": "json",
                "level": settings.log_level,
            },
        },
        "root": {
            "level": min(settings.log_level, settings.console_level, key=LEVELS.index),
            "handlers": ["console", "file"],
        },
        "loggers": {
            "gunicorn.error": {"level": "NOTSET", "handlers": [], "propagate": True},
            # Each request is already logged as an event with more fields.
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
        },
    }
