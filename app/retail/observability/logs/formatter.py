"""JSON logs: one object per line, always with the same six keys (docs/logging.md)."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pythonjsonlogger.core import RESERVED_ATTRS, LogData
from pythonjsonlogger.orjson import OrjsonFormatter, orjson_default

from redaction import cleaned, names_secret, redacted
from retail.observability.context import current_request_id
from retail.observability.logs.writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# No line has the thread or process, so logging need not look them up for each record.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# Objects that Django and gunicorn attach to their records; not log fields.
_OBJECTS = frozenset({"request", "response", "server_time"})
_NOT_FIELDS = frozenset(RESERVED_ATTRS) | _OBJECTS
_SCALARS = frozenset({int, float, bool, type(None)})


@lru_cache(maxsize=8)  # shared by all lines of a second
def _date_and_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()[:-6]


def _text(value: object) -> str:
    """Return a text for a value that JSON cannot represent."""
    text = str(orjson_default(value))
    return redacted(text.encode("utf-8", "backslashreplace").decode())


def _writable(value: Any) -> Any:
    """Return `value`, or its text if JSON cannot represent it (huge number, lone surrogate)."""
    try:
        orjson.dumps(value, default=_text)
    except TypeError:
        return _text(value)
    return value


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the record's own fields: all but the attributes that every record has."""
    attributes = record.__dict__
    fields: Mapping[str, Any] | None = attributes.get("_fields")
    if fields is None:
        fields = {
            name: value
            for name, value in attributes.items()
            if name not in _NOT_FIELDS and not name.startswith("_")
        }
    return _cleaned(fields)


@lru_cache(maxsize=1024)  # there are few events, each with its fields
def _have_secret(names: tuple[str, ...]) -> bool:
    return any(map(names_secret, names))


def _cleaned(fields: Mapping[str, Any]) -> dict[str, Any]:
    if _have_secret(tuple(fields)):
        return {name: cleaned(name, value) for name, value in fields.items()}
    # What nearly all values are needs no call of `cleaned`.
    return {
        name: value
        if (kind := type(value)) in _SCALARS
        else redacted(value)
        if kind is str
        else cleaned(name, value)
        for name, value in fields.items()
    }


def _six_keys(record: logging.LogRecord | Event, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the line as a dictionary. A message without `event=` moves to `extra.text`."""
    message = record.message
    if not message.startswith("event="):
        extra["text"] = redacted(message)
        message = "event=log"
    elif "@" in message or " " in message:  # names of events have neither
        message = redacted(message)
    # A record formatted after its request has ended carries the request id itself.
    request_id = extra.pop("request_id", getattr(record, "request_id", None))
    seconds, milliseconds = divmod(round(record.created * 1_000_000) // 1000, 1000)
    return {
        "timestamp": f"{_date_and_time(seconds)}.{milliseconds:03}+00:00",
        "level": record.levelname,
        "logger": record.name,
        "message": message,
        "request_id": current_request_id() if request_id is None else request_id,
        "extra": extra,
    }


class Event(NamedTuple):
    """Arguments and time of a `log_event` call, with the names of LogRecord's attributes."""

    name: str
    levelno: int
    message: str
    fields: Mapping[str, Any]
    request_id: str
    created: float  # seconds since 1970

    @property
    def levelname(self) -> str:
        """The level's name."""
        return logging.getLevelName(self.levelno)

    def line(self) -> bytes:
        """Return the line, like JsonFormatter's of `record()`."""
        return _json(_six_keys(self, _cleaned(self.fields)))

    def record(self) -> logging.LogRecord:
        """Return the LogRecord, without a source location."""
        record = logging.LogRecord(self.name, self.levelno, "", 0, self.message, (), None)
        record.created, record.msecs = self.created, self.created % 1 * 1000
        record.__dict__ |= {"request_id": self.request_id, **self.fields, "_fields": self.fields}
        return record


def _json(line: dict[str, Any]) -> bytes:
    """Return `line` as JSON. A value that cannot be serialized does not affect the others."""
    try:
        return orjson.dumps(line, _text, orjson.OPT_NON_STR_KEYS)
    except TypeError:
        extra = {_text(name): _writable(value) for name, value in line["extra"].items()}
        rest = {name: _writable(value) for name, value in line.items() if name != "extra"}
        return orjson.dumps({**rest, "extra": extra}, _text, orjson.OPT_NON_STR_KEYS)


class JsonFormatter(OrjsonFormatter):
    """Formats a record as `{timestamp, level, logger, message, request_id, extra}`.

    The line is formatted once and shared by all handlers. Records without a traceback, which are
    nearly all, are formatted here, because the library's general formatting is much slower.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: str | None = record.__dict__.get("_line")
        if line is None:
            if isinstance(record.msg, dict) or (
                record.exc_info or record.exc_text or record.stack_info
            ):
                line = super().format(record)
            else:
                record.message = record.getMessage()
                line = _json(_six_keys(record, _fields_of(record))).decode()
            record.__dict__["_line"] = line
        return line

    def add_fields(
        self, log_data: LogData, record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill the six keys."""
        extra = _fields_of(record)
        for name, value in message_dict.items():
            if name not in _OBJECTS:
                shown = "traceback" if name == "exc_info" else name
                extra[shown] = cleaned(shown, value)
        log_data.update(_six_keys(record, extra))

    def jsonify_log_record(self, log_data: LogData) -> str:
        """Return the line as JSON."""
        return _json(log_data).decode()


def log_event(logger: logging.Logger, level: int, message: str, fields: Mapping[str, Any]) -> None:
    """Log like `logger.log(level, message, extra=fields)`, at a fraction of the cost.

    For events that are logged with every request. No field may have the name of a record's own
    attribute. Do not change the fields or their values afterwards: they may be formatted later.
    """
    if not logger.isEnabledFor(level):
        return
    event = Event(logger.name, level, message, fields, current_request_id(), time.time())
    handlers = logging.root.handlers
    if level < logging.WARNING and len(handlers) == 1 and type(handlers[0]) is LineWriter:
        handlers[0].add(event)  # skips creating a LogRecord
    else:
        logger.handle(event.record())


def logging_config(  # noqa: PLR0913 - one keyword argument per setting
    *,
    level: str,
    console_level: str,
    file: Path,
    max_bytes: int,
    backups: int,
    flush_seconds: float,
) -> dict[str, Any]:
    """Return the logging configuration for all processes of the shop.

    Sizes are in bytes. Django and gunicorn use the same dictionary.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "retail.observability.logs.formatter.JsonFormatter"}},
        "handlers": {
            "lines": {
                "()": "retail.observability.logs.writer.LineWriter",
                "file": str(file),
                "max_bytes": max_bytes,
                "backups": backups,
                "console": "ext://sys.stdout",
                "console_level": console_level,
                "flush_seconds": flush_seconds,
                "formatter": "json",
            },
        },
        "root": {"level": level, "handlers": ["lines"]},
        "loggers": {
            # The shop logs every 4xx and 5xx itself, with a traceback if there is one.
            "django.request": {"level": "CRITICAL"},
            # Any scanner can cause these (wrong host, body too large), each with a traceback. The
            # http.request event has the status 400 or 413.
            "django.security": {"level": "CRITICAL"},
            "django.security.csrf": {"level": "WARNING"},
            "django": {"level": "INFO", "handlers": [], "propagate": True},
            # `runserver` would print each path as it is; the shop logs it without secrets.
            "django.server": {"level": "ERROR", "handlers": [], "propagate": True},
            # It logs every start, end and schedule; the shop logs each run once, with its outcome.
            "django-q": {"level": "WARNING"},
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
            "gunicorn.access": {"level": "ERROR", "handlers": [], "propagate": True},
        },
    }
