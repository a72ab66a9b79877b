"""Fetch a partner's file over the network, within limits (docs/feeds.md)."""

from __future__ import annotations

import ssl
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from django.utils import timezone

from partner_feeds.addresses import addresses_of, target_from, target_of
from partner_feeds.reading.pages import next_page
from partner_feeds.reading.problems import FeedError
from retail.calls import connection_to
from retail.sockets import TooMuchDataError, bounded, seconds_left

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPConnection, HTTPMessage, HTTPResponse

    from partner_feeds.addresses import Target
    from partner_feeds.models import Partner

SECONDS = 50.0  # for everything: jobs are short
LOOK_UP_SECONDS = 10.0
CONNECT_SECONDS = 10.0
HEAD_BYTES = 64 * 1024
CHUNK = 64 * 1024
MOST_REDIRECTS = 5
MOST_PAGES = 1000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What may be stored as it is: the reader unpacks gzip by the file's first bytes.
_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip"})
_CODES = {
    HTTPStatus.NO_CONTENT: "empty",
    HTTPStatus.PARTIAL_CONTENT: "cut",
    HTTPStatus.UNAUTHORIZED: "not_allowed",
    HTTPStatus.FORBIDDEN: "not_allowed",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.GONE: "not_found",
}


class Fetched(NamedTuple):
    """What is known of a file that was fetched."""

    dated_at: datetime | None  # when it was made, as its server said
    pages: int


def fetch(partner: Partner, file: BinaryIO, *, seconds: float = SECONDS) -> Fetched:
    """Fetch a partner's file into an empty one, and go back to its start.

    Raises FeedError, whose text says what the server did and has none of the address's secrets.
    """
    with bounded(seconds=seconds):
        fetching = _Fetching(partner, file)
        target, headers = fetching.page(fetching.home)
        pages = 1 + (fetching.further_pages(target) if partner.format == "json" else 0)
    file.seek(0)
    return Fetched(_dated_at(headers), pages)


class _Fetching:
    """Requests for one file, which have its limits together."""

    def __init__(self, partner: Partner, file: BinaryIO) -> None:
        self._allow_http = partner.allow_http
        self._options = partner.options()
        self._left = self._options.limits.packed_bytes
        self._file = file
        # Pages may differ in whether they are packed, and one file cannot.
        self._accepted = "identity" if partner.format == "json" else "gzip"
        self.home = target_of(partner.address, allow_http=self._allow_http)

    def page(self, target: Target) -> tuple[Target, HTTPMessage]:
        """Append what is at an address; return where it was at last, and its headers."""
        for _ in range(MOST_REDIRECTS + 1):
            with self._asked(target) as response:
                if response.status not in _REDIRECTS:
                    _check(response, target.host)
                    self._store(response, target.host)
                    return target, response.headers
                location = response.headers.get("Location", "")
            if not location:
                raise FeedError("bad_answer", f"{target.host} redirects to nowhere.")
            target = target_from(target, location, allow_http=self._allow_http)
        raise FeedError("redirects", f"There are more than {MOST_REDIRECTS} redirects.")

    def further_pages(self, target: Target) -> int:
        """Append the pages that each page names as the next one; return how many."""
        seen = {self.home.url, target.url}
        start = count = 0
        while following := self._next(target, start):
            if following.host != target.host:
                raise FeedError("other_host", f"The next page is at {following.host}.")
            if following.url in seen:
                raise FeedError("page_loop", "A page names one as the next that was there before.")
            count += 1
            if count == MOST_PAGES:
                raise FeedError("too_many_pages", f"There are more than {MOST_PAGES:,} pages.")
            start = self._file.tell()
            target, _ = self.page(following)
            seen |= {following.url, target.url}
        return count

    def _next(self, target: Target, start: int) -> Target | None:
        """Return what the page that starts there in the file names as the next one."""
        self._file.seek(start)
        name = next_page(self._file, self._options)
        self._file.seek(0, 2)
        return target_from(target, name, allow_http=self._allow_http) if name else None

    @contextmanager
    def _asked(self, target: Target) -> Iterator[HTTPResponse]:
        """Send a request, and give the answer with its headers."""
        headers = {
            "User-Agent": "Vitrine",
            "Accept": "*/*",
            "Accept-Encoding": self._accepted,
            "Connection": "close",
        }
        if self.home.authorization and target.origin == self.home.origin:
            headers["Authorization"] = self.home.authorization
        with closing(_connected(target)) as connection:
            with _explained(target.host), bounded(seconds=SECONDS, size=HEAD_BYTES):
                connection.request("GET", target.path, headers=headers)
                response = connection.getresponse()
            with response:
                yield response

    def _store(self, response: HTTPResponse, host: str) -> None:
        """Append an answer's body to the file."""
        if (response.length or 0) > self._left:
            raise self._too_large()
        before = self._left
        while chunk := _read(response, host):
            self._left -= len(chunk)
            if self._left < 0:
                raise self._too_large()
            self._file.write(chunk)
        if response.length:
            raise _cut(host)
        if self._left == before:
            raise FeedError("empty", f"{host} sent an empty file.")

    def _too_large(self) -> FeedError:
        most = self._options.limits.packed_bytes
        return FeedError("too_large", f"The file has more than {most:,} bytes.")


def _connected(target: Target) -> HTTPConnection:
    """Connect to the first address of a host that answers, all of which were checked."""
    with _explained(target.host):
        addresses = addresses_of(target, seconds=seconds_left(LOOK_UP_SECONDS) or 0)
        error: OSError | None = None
        for address in addresses:
            seconds = seconds_left(CONNECT_SECONDS) or 0
            try:
                return connection_to(target.scheme, target.host, address, seconds=seconds)
            except OSError as failed:
                error = failed
        raise error or OSError


def _read(response: HTTPResponse, host: str) -> bytes:
    with _explained(host):
        return response.read(CHUNK)


def _cut(host: str) -> FeedError:
    return FeedError("cut", f"{host} closed the connection before the end of the file.")


@contextmanager
def _explained(host: str) -> Iterator[None]:
    """Turn what can go wrong with a server into a FeedError."""
    try:
        yield
    except TooMuchDataError:
        raise FeedError("bad_answer", f"The headers of {host} are too large.") from None
    except TimeoutError:
        raise FeedError("too_slow", f"{host} did not send the whole file in time.") from None
    except IncompleteRead:
        raise _cut(host) from None
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message
        raise FeedError("certificate", f"The certificate of {host} is not valid: {why}.") from None
    except HTTPException:
        raise FeedError("bad_answer", f"{host} gave no valid answer.") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise FeedError("no_connection", f"The connection to {host} failed: {why}.") from None


def _check(response: HTTPResponse, host: str) -> None:
    """Refuse an answer that is not a whole file."""
    status = response.status
    if status != HTTPStatus.OK:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        said = f"{status} {phrase}".strip()
        code = _CODES.get(HTTPStatus(status)) if phrase else None
        raise FeedError(code or "bad_answer", f"{host} answered {said}, and sent no file.")
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise FeedError("bad_answer", f"{host} packed the file in a way that it was not asked for.")


def _dated_at(headers: HTTPMessage) -> datetime | None:
    """Return a file's date, unless it is none or in the future."""
    try:
        date = parsedate_to_datetime(headers.get("Last-Modified", ""))
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return date if date <= timezone.now() else None
    except (TypeError, ValueError, OverflowError):
        return None
