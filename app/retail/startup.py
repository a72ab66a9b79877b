"""System checks that read the database, and that web and worker pass before they start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, register, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

Check = Callable[..., list[CheckMessage]]
STARTUP = "startup"

logger = logging.getLogger("retail.startup")


def startup_check(check: Callable[[], list[CheckMessage]]) -> Check:
    """Register a check of the default database. It finds nothing before the tables exist."""

    def checked(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
        if not databases:
            return []
        try:
            return check()
        except DatabaseError:
            return []

    register(checked, Tags.database, STARTUP)
    return checked


def refuse_errors() -> None:
    """Raise ImproperlyConfigured if a startup check finds an error; log warnings.

    A database that does not respond is not checked: the shop starts, and answers when it is back.
    Checks that `manage.py check` runs only with `--deploy` are run here, too.
    """
    databases = ["default"]
    try:
        connection.ensure_connection()
    except DatabaseError:
        databases = []
    found = run_checks(tags=[STARTUP], include_deployment_checks=True, databases=databases)
    errors = [message for message in found if message.is_serious()]
    for message in found:
        if message not in errors:
            logger.warning("event=startup.warning", extra={"id": message.id, "text": message.msg})
    if errors:
        raise ImproperlyConfigured(" ".join(f"{error.msg} {error.hint}" for error in errors))
