"""One request, and what must be true of its answer."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client

from tests.fuzz.effects import allowed
from tests.fuzz.world import SECRET, TOKEN, World

if TYPE_CHECKING:
    from tests.fuzz.watch import Database, Mistakes

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
LEAKS = (
    *("Traceback (most recent", "site-packages", "psycopg", "sqlite3", ".py&quot;", '.py"'),
    *("OperationalError", "IntegrityError", "DataError", "ValueError", "AttributeError"),
    str(Path(settings.BASE_DIR).parent),
    django.__version__,
)


@dataclass
class Shot:
    """A request: `token` is whether it carries a CSRF token that is good."""

    actor: str
    method: str
    path: bytes
    query: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = ""
    token: bool = False
    cookies: str = ""

    @property
    def live(self) -> bool:
        """Whether the shop may do what this asks for."""
        return self.token and self.method not in SAFE

    def __str__(self) -> str:
        """Tell what was sent, as far as a person wants to read it."""
        facts = {name: value[:120] for name, value in self.headers.items()}
        return (
            f"{self.actor} {self.method} {self.path[:200]!r} ?{self.query[:300]!r} {facts} "
            f"{self.content_type[:80]!r} token={self.token} {self.cookies[:80]!r} "
            f"{len(self.body)} bytes {self.body[:600]!r}"
        )


@dataclass
class Tally:
    """What came of all shots."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)  # live ones that changed something
    wrong: list[str] = field(default_factory=list)
    rows_changed: int = 0

    def table(self) -> list[str]:
        """Return the number of answers by status and method as lines of text."""
        methods = sorted({method for _, method in self.answers})
        lines = [f"{'status':>6} " + " ".join(f"{name:>8}" for name in methods) + f" {'all':>8}"]
        for status in sorted({status for status, _ in self.answers}):
            row = [self.answers[status, method] for method in methods]
            lines.append(f"{status:>6} " + " ".join(f"{n:>8}" for n in [*row, sum(row)]))
        bad = sum(n for (status, _), n in self.answers.items() if status >= 500)
        return [
            *lines,
            f"{self.answers.total()} requests, {bad} answers of 5xx",
            f"{self.rows_changed} tables changed that must not be",
            f"{self.did.total()} valid forms did what they are for, and were rolled back",
        ]


class Gun:
    """Sends shots and looks at what comes of them."""

    def __init__(self, world: World, database: Database, mistakes: Mistakes) -> None:
        self.world, self.database, self.mistakes = world, database, mistakes
        self.tally = Tally()
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    def send(self, shot: Shot) -> HttpResponse:
        """Send one; what a live one does is undone when it has been looked at."""
        self.client.cookies.clear()
        session = self.world.sessions[shot.actor]
        cookies = [f"sessionid={session}"] if session else []
        cookies += [shot.cookies] if shot.cookies else []
        cookies += [f"csrftoken={TOKEN}"] if shot.token else []
        environ: dict[str, Any] = {
            "PATH_INFO": shot.path.decode("latin-1"),
            "QUERY_STRING": shot.query.decode("latin-1"),
            "HTTP_COOKIE": "; ".join(cookies),
            **({"HTTP_X_CSRFTOKEN": TOKEN} if shot.token else {}),
            **shot.headers,
        }
        response: Any = self.client.generic(
            shot.method, "/", shot.body, shot.content_type, **environ
        )
        return response  # type: ignore[no-any-return]

    def fire(self, shot: Shot) -> HttpResponse | None:
        """Send one and judge it; None if not even an error page came."""
        self.database.written.clear()
        with ExitStack() as stack:
            if shot.live:
                stack.enter_context(transaction.atomic())
                stack.callback(transaction.set_rollback, True)
            try:
                response = self.send(shot)
            except Exception as error:  # noqa: BLE001 - whatever comes out of the shop is wrong
                self.tally.wrong.append(f"{error!r}\n  {shot}")
                return None
            # After an error PostgreSQL answers nothing more in this transaction.
            usable = response.status_code < 500 or not connection.in_atomic_block
            changed = self.database.changed() if usable else set()
        self._judge(shot, response, changed)
        return response

    def _judge(self, shot: Shot, response: HttpResponse, changed: set[str]) -> None:
        self.tally.answers[response.status_code, shot.method] += 1
        wrong = self.mistakes.take()
        if response.status_code >= 500:
            wrong.append(f"answered {response.status_code}")
        match = response.wsgi_request.resolver_match  # type: ignore[attr-defined]
        name = match.view_name if match is not None else ""
        if excess := changed - allowed(shot, name, response):
            self.tally.rows_changed += len(excess)
            wrong.append(f"answered {response.status_code} and changed {', '.join(sorted(excess))}")
        if not shot.live:
            self.database.accept(changed)
        elif changed:
            self.tally.did[name] += 1
        wrong += self._of_page(shot, response)
        if wrong:
            self.tally.wrong.append("\n".join([*wrong, f"  {shot}"]))

    def _of_page(self, shot: Shot, response: HttpResponse) -> list[str]:
        if isinstance(response, StreamingHttpResponse):
            content = b"".join(response)
        else:
            content = response.content
        text = content.decode("utf-8", "replace")
        found = [f"the page tells {leak!r}" for leak in LEAKS if leak in text]
        if shot.actor != "staff" and SECRET in text:
            found.append("the page shows another customer's order")
        host = urlsplit(response.headers.get("Location", "")).netloc
        asked = shot.headers.get("HTTP_HOST", "testserver")
        if host not in {"", asked, "testserver"}:
            found.append(f"redirects to {host}")
        return found
