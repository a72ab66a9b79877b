"""JSON logs: one object a line, always the same six keys (docs/logging.md).

Written by several processes into one file: each line is one write to a file opened for appending,
which the kernel keeps whole, and whoever finds the file full renames it under a lock.
"""

import fcntl
import logging
import logging.handlers
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pythonjsonlogger.core import LogData, merge_record_extra
from pythonjsonlogger.orjson import OrjsonFormatter, orjson_default

from retail.observability.context import current_request_id

_SECRET_NAME = re.compile(
    r"pass(word|wd)|secret|authori[sz]ation|cookie|session|csrf|token|api_?key|card|e?mail",
    re.IGNORECASE,
)
# Looking only where a word begins keeps a long text without an address cheap.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+")
# What Django and gunicorn hang on their records: live objects, not facts.
_NOT_FACTS = frozenset({"request", "response", "server_time"})
_HIDDEN = "[hidden]"
_DEEPEST = 8  # facts are flat; what is deeper than this may go round in a circle


def _without_addresses(text: str) -> str:
    return _EMAIL.sub("[e-mail]", text) if "@" in text else text


def _clean(name: str, value: Any, depth: int = 0) -> Any:
    """Return `value` without secrets and e-mail addresses, also of what it contains."""
    if _SECRET_NAME.search(name):
        return _HIDDEN
    if isinstance(value, str):
        return _without_addresses(value)
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return value
    if depth == _DEEPEST:
        return "[too deep]"
    if isinstance(value, dict):
        return {
            _without_addresses(str(key)): _clean(str(key), item, depth + 1)
            for key, item in value.items()
        }
    return [_clean("", item, depth + 1) for item in value]


def _text(value: object) -> str:
    """Return what stands for a value that JSON has no form for."""
    text = str(orjson_default(value))
    return _without_addresses(text.encode("utf-8", "backslashreplace").decode())


def _writable(value: Any) -> Any:
    """Return `value`, or its text if JSON cannot hold it: a huge number, half a character."""
    try:
        orjson.dumps(value, default=_text)
    except TypeError:
        return _text(value)
    return value


class JsonFormatter(OrjsonFormatter):
    """Formats a record as `{timestamp, level, logger, message, request_id, extra}`."""

    def __init__(self) -> None:
        super().__init__(json_default=_text)

    def jsonify_log_record(self, log_data: LogData) -> str:
        """Return the line; a value that cannot be written never costs the others."""
        try:
            return super().jsonify_log_record(log_data)
        except TypeError:
            extra = {_text(name): _writable(value) for name, value in log_data["extra"].items()}
            facts = {name: _writable(value) for name, value in log_data.items() if name != "extra"}
            return super().jsonify_log_record({**facts, "extra": extra})

    def add_fields(
        self, log_data: LogData, record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill the six keys. A message that is not `event=<name>` moves to `extra.text`."""
        extra = merge_record_extra(record, {}, reserved=self.reserved_attrs)
        if "exc_info" in message_dict:
            message_dict["traceback"] = message_dict.pop("exc_info")
        extra.update(message_dict)
        message = record.message
        if not message.startswith("event="):
            extra["text"] = message
            message = "event=log"
        log_data["timestamp"] = datetime.fromtimestamp(record.created, tz=UTC).isoformat(
            timespec="milliseconds"
        )
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = _without_addresses(message)
        # A record may carry its request's id itself, where it is written after the request ended.
        log_data["request_id"] = extra.pop("request_id", None) or current_request_id()
        log_data["extra"] = {
            name: _clean(name, value) for name, value in extra.items() if name not in _NOT_FACTS
        }


class SharedFileHandler(logging.handlers.WatchedFileHandler):
    """Appends to a file that other processes append to as well, and rotates it by renaming.

    At `max_bytes` the file becomes `<name>.1`, that one `<name>.2`, up to `backups`; the other
    processes notice at their next line. No line is lost or split, and a log shipper that follows
    the file by its inode misses none.
    """

    def __init__(self, filename: str, max_bytes: int, backups: int) -> None:
        Path(filename).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(filename, encoding="utf-8", delay=True)
        self.max_bytes = max_bytes
        self.backups = backups

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, then make room if the file is full."""
        super().emit(record)
        try:
            if self.stream is not None and self.stream.tell() >= self.max_bytes:
                self._rotate()
        except OSError:
            self.handleError(record)

    def _rotate(self) -> None:
        path = Path(self.baseFilename)
        with Path(f"{path}.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have been quicker: then the name stands for a new, shorter file.
            if path.exists() and path.stat().st_size >= self.max_bytes:
                for number in range(self.backups - 1, 0, -1):
                    older = Path(f"{path}.{number}")
                    if older.exists():
                        older.replace(f"{path}.{number + 1}")
                path.replace(f"{path}.1")


def logging_config(
    *, level: str, console_level: str, file: Path, max_bytes: int, backups: int
) -> dict[str, Any]:
    """Return the `logging` configuration of every process of the shop.

    Sizes are in bytes. The same dictionary serves Django and gunicorn.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "retail.observability.logs.JsonFormatter"}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "json",
                "level": console_level,
            },
            "file": {
                "()": "retail.observability.logs.SharedFileHandler",
                "filename": str(file),
                "max_bytes": max_bytes,
                "backups": backups,
                "formatter": "json",
            },
        },
        "root": {"level": level, "handlers": ["console", "file"]},
        "loggers": {
            # Every 4xx and 5xx is a line of ours already, with the traceback where there is one.
            "django.request": {"level": "CRITICAL"},
            # Any scanner can cause these, each with a traceback: a wrong host, a body too large.
            # The request's own line says 400 or 413.
            "django.security": {"level": "CRITICAL"},
            "django.security.csrf": {"level": "WARNING"},
            "django": {"level": "INFO", "handlers": [], "propagate": True},
            # A line for every job that starts, ends or is scheduled; ours say it with its outcome.
            "django-q": {"level": "WARNING"},
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
            # It names who failed to log in; the request's own line and the lock's are enough.
            "axes": {"level": "CRITICAL"},
            "gunicorn.access": {"level": "ERROR", "handlers": [], "propagate": True},
        },
    }
