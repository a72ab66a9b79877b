"""JSON logs: one object a line, always the same six keys (docs/logging.md)."""

import logging
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from pythonjsonlogger.core import RESERVED_ATTRS, LogData
from pythonjsonlogger.orjson import OrjsonFormatter, orjson_default

from retail.observability.context import current_request_id
from retail.observability.logs.writer import LineWriter, PendingRecord

# No line names the thread or the process: they need not be looked up for each.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

_SECRET_NAME = re.compile(
    r"pass(word|wd)|secret|authori[sz]ation|cookie|session|csrf|token|api_?key|card|e?mail",
    re.IGNORECASE,
)
# Looking only where a word begins keeps a long text without an address cheap.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+")
# What Django and gunicorn hang on their records: live objects, not facts.
_LIVE = frozenset({"request", "response", "server_time"})
_NO_FACTS = frozenset(RESERVED_ATTRS) | _LIVE
_NESTED = (dict, list, tuple, set, frozenset)
_HIDDEN = "[hidden]"
_DEEPEST = 8  # facts are flat; what is deeper than this may go round in a circle


@lru_cache(maxsize=1024)  # the names of facts are few, and each line has several of them
def _names_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


@lru_cache(maxsize=8)  # the lines of one second share it
def _date_and_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()[:-6]


def _without_addresses(text: str) -> str:
    return _EMAIL.sub("[e-mail]", text) if "@" in text else text


def _clean(name: str, value: Any, depth: int = 0) -> Any:
    """Return `value` without secrets and e-mail addresses, also of what it contains."""
    if _names_secret(name):
        return _HIDDEN
    if isinstance(value, str):
        return _without_addresses(value)
    if not isinstance(value, _NESTED):
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


def _facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what is on `record` beside what Python's logging knows of every record."""
    known = record.__dict__
    facts: Mapping[str, Any] | None = known.get("_facts")
    if facts is None:
        facts = {
            name: value
            for name, value in known.items()
            if name not in _NO_FACTS and not name.startswith("_")
        }
    return {name: _clean(name, value) for name, value in facts.items()}


def _six_keys(record: logging.LogRecord, message: str, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the line to be. A message that is not `event=<name>` moves to `extra.text`."""
    message = _without_addresses(message)
    if not message.startswith("event="):
        extra["text"] = message
        message = "event=log"
    # A record may carry its request's id itself, where its line is made after the request ended.
    request_id = extra.pop("request_id", record.__dict__.get("request_id"))
    seconds, milliseconds = divmod(round(record.created * 1_000_000) // 1000, 1000)
    return {
        "timestamp": f"{_date_and_time(seconds)}.{milliseconds:03}+00:00",
        "level": record.levelname,
        "logger": record.name,
        "message": message,
        "request_id": current_request_id() if request_id is None else request_id,
        "extra": extra,
    }


def _json(line: dict[str, Any]) -> str:
    """Return `line` as JSON; a value that cannot be written never costs the others."""
    try:
        return orjson.dumps(line, _text, orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        extra = {_text(name): _writable(value) for name, value in line["extra"].items()}
        facts = {name: _writable(value) for name, value in line.items() if name != "extra"}
        return orjson.dumps({**facts, "extra": extra}, _text, orjson.OPT_NON_STR_KEYS).decode()


class JsonFormatter(OrjsonFormatter):
    """Formats a record as `{timestamp, level, logger, message, request_id, extra}`.

    The line is made once for all the handlers that write it. One without a traceback, as nearly all
    are, is made here; the library knows what else a record can hold, and takes its time.
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
                line = _json(_six_keys(record, record.getMessage(), _facts_of(record)))
            record.__dict__["_line"] = line
        return line

    def add_fields(
        self, log_data: LogData, record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill the six keys."""
        extra = _facts_of(record)
        for name, value in message_dict.items():
            if name not in _LIVE:
                shown = "traceback" if name == "exc_info" else name
                extra[shown] = _clean(shown, value)
        log_data.update(_six_keys(record, record.message, extra))

    def jsonify_log_record(self, log_data: LogData) -> str:
        """Return the line as JSON."""
        return _json(log_data)


def log_event(logger: logging.Logger, level: int, message: str, facts: Mapping[str, Any]) -> None:
    """Log as `logger.log(level, message, extra=facts)` does, at a fraction of the price.

    For what is logged with every request. `facts` may have no name that a record has itself. They
    and their values must not change afterwards: the line may be made when the request is over.
    """
    if not logger.isEnabledFor(level):
        return
    told = PendingRecord(logger.name, level, message, facts, current_request_id(), time.time())
    handlers = logging.root.handlers
    if level < logging.WARNING and len(handlers) == 1 and type(handlers[0]) is LineWriter:
        handlers[0].add(told)  # past all that logging looks up for each record
    else:
        logger.handle(told.record())


def logging_config(  # noqa: PLR0913 - one for each setting, by name
    *,
    level: str,
    console_level: str,
    file: Path,
    max_bytes: int,
    backups: int,
    flush_seconds: float,
) -> dict[str, Any]:
    """Return the `logging` configuration of every process of the shop.

    Sizes are in bytes. The same dictionary serves Django and gunicorn.
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
