"""Send fuzzed requests and check their responses and effects."""

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
    from tests.fuzz.observers import Database, LoggedErrors

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
LEAKS = (
    *("Traceback (most recent", "site-packages", "psycopg", "sqlite3", ".py&quot;", '.py"'),
    *("OperationalError", "IntegrityError", "DataError", "ValueError", "AttributeError"),
    str(Path(settings.BASE_DIR).parent),
    django.__version__,
)


@dataclass
class FuzzRequest:
    """A request by one user; `token` means that it has a valid CSRF token."""

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
        """Whether the shop may act on this request."""
        return self.token and self.method not in SAFE

    def __str__(self) -> str:
        """Describe the request, with long values cut."""
        headers = {name: value[:120] for name, value in self.headers.items()}
        return (
            f"{self.actor} {self.method} {self.path[:200]!r} ?{self.query[:300]!r} {headers} "
            f"{self.content_type[:80]!r} token={self.token} {self.cookies[:80]!r} "
            f"{len(self.body)} bytes {self.body[:600]!r}"
        )


@dataclass
class Tally:
    """Counts of all responses, and the problems found."""

    responses: Counter[tuple[int, str]] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)  # live requests that changed a table
    problems: list[str] = field(default_factory=list)
    tables_changed: int = 0

    def table(self) -> list[str]:
        """Return the number of responses by status and method as lines of text."""
        methods = sorted({method for _, method in self.responses})
        lines = [f"{'status':>6} " + " ".join(f"{name:>8}" for name in methods) + f" {'all':>8}"]
        for status in sorted({status for status, _ in self.responses}):
            row = [self.responses[status, method] for method in methods]
            lines.append(f"{status:>6} " + " ".join(f"{n:>8}" for n in [*row, sum(row)]))
        errors = sum(n for (status, _), n in self.responses.items() if status >= 500)
        return [
            *lines,
            f"{self.responses.total()} requests, {errors} 5xx responses",
            f"{self.tables_changed} tables changed that must not be",
            f"{self.changed.total()} valid forms took effect and were rolled back",
        ]


class Fuzzer:
    """Sends requests and checks their responses and effects."""

    def __init__(self, world: World, database: Database, errors: LoggedErrors) -> None:
        self.world, self.database, self.errors = world, database, errors
        self.tally = Tally()
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    def send(self, request: FuzzRequest) -> HttpResponse:
        """Send a request and return the response."""
        self.client.cookies.clear()
        session = self.world.sessions[request.actor]
        cookies = [f"sessionid={session}"] if session else []
        cookies += [request.cookies] if request.cookies else []
        cookies += [f"csrftoken={TOKEN}"] if request.token else []
        environ: dict[str, Any] = {
            "PATH_INFO": request.path.decode("latin-1"),
            "QUERY_STRING": request.query.decode("latin-1"),
            "HTTP_COOKIE": "; ".join(cookies),
            **({"HTTP_X_CSRFTOKEN": TOKEN} if request.token else {}),
            **request.headers,
        }
        response: Any = self.client.generic(
            request.method, "/", request.body, request.content_type, **environ
        )
        return response  # type: ignore[no-any-return]

    def send_and_check(self, request: FuzzRequest) -> HttpResponse | None:
        """Send a request, check it and undo its effects; return None if an exception escaped."""
        self.database.written.clear()
        with ExitStack() as stack:
            if request.live:
                stack.enter_context(transaction.atomic())
                stack.callback(transaction.set_rollback, True)
            try:
                response = self.send(request)
            except Exception as error:  # noqa: BLE001 - no exception may escape the shop
                self.tally.problems.append(f"{error!r}\n  {request}")
                return None
            # After an error, PostgreSQL refuses further statements in this transaction.
            usable = response.status_code < 500 or not connection.in_atomic_block
            changed = self.database.changed() if usable else set()
        self._check(request, response, changed)
        return response

    def _check(self, request: FuzzRequest, response: HttpResponse, changed: set[str]) -> None:
        self.tally.responses[response.status_code, request.method] += 1
        problems = self.errors.take()
        if response.status_code >= 500:
            problems.append(f"responded with {response.status_code}")
        match = response.wsgi_request.resolver_match  # type: ignore[attr-defined]
        name = match.view_name if match is not None else ""
        if excess := changed - allowed(request, name, response):
            self.tally.tables_changed += len(excess)
            tables = ", ".join(sorted(excess))
            problems.append(f"responded with {response.status_code} and changed {tables}")
        if not request.live:
            self.database.accept(changed)
        elif changed:
            self.tally.changed[name] += 1
        problems += self._check_page(request, response)
        if problems:
            self.tally.problems.append("\n".join([*problems, f"  {request}"]))

    def _check_page(self, request: FuzzRequest, response: HttpResponse) -> list[str]:
        if isinstance(response, StreamingHttpResponse):
            content = b"".join(response)
        else:
            content = response.content
        text = content.decode("utf-8", "replace")
        if request.path == b"/metrics":  # it counts the database's errors by their names
            text = "\n".join(line for line in text.splitlines() if "django_db_errors" not in line)
        problems = [f"the page leaks {leak!r}" for leak in LEAKS if leak in text]
        html = response.headers.get("Content-Type", "").startswith("text/html")
        if response.status_code >= 400 and html and text:
            reference = response.headers["X-Request-ID"]
            problems += [] if reference in text else ["an error page without its reference"]
        if request.actor != "staff" and SECRET in text:
            problems.append("the page shows another customer's order")
        host = urlsplit(response.headers.get("Location", "")).netloc
        requested = request.headers.get("HTTP_HOST", "testserver")
        if host not in {"", requested, "testserver"}:
            problems.append(f"redirects to {host}")
        return problems
