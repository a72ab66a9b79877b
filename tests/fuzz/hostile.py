"""Hostile values, headers, query strings and bodies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_from_bytes

from django.apps import apps

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from django.db.models import Model

FORM = "application/x-www-form-urlencoded"
BOUNDARY = "fuzz"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
NUMBERS = (
    *("0", "-0", "1", "2", "-1", "+1", "01", "1.5", "1e3", "1e999999", "-1e-999999", "NaN"),
    *("sNaN", "Infinity", "-Infinity", "0x10", "1_000", "1,5", "١٢", "½", "²", " 7 ", "", "abc"),
    *(str(2**power + more) for power in (15, 16, 31, 32, 63, 64, 128) for more in (-1, 0, 1)),
    *(str(-(2**power) - 1) for power in (31, 63)),
    *("9" * 400, "9" * 5000, "0." + "9" * 400),
)
TEXTS = (
    *("", " ", "\t", "\x00", "a\x00b", "\x01\x7f", "\r\nSet-Cookie: fuzz=1", "\ufeff", "\u2028"),
    *("..", "../../../../etc/passwd", "..\\..\\", "/", "//evil.example/", "https://evil.example/"),
    *("javascript:alert(1)", "<script>alert(1)</script>", '"><img src=x>', "{{ 7*7 }}", "{% x %}"),
    *("' OR 1=1 --", '"; DROP TABLE x', "\\", "%", "%s%n", "%00", "%(x)s", "${x}", "\x1b[31m"),
    *("ß", "İstanbul", "\u017f", "e\u0301", "日本語", "العربية", "👩\u200d👧", "\U0010ffff"),
    *("a@b.example", "a@b.example\nBcc: c@d.example", "*", "(", "[a-", "a" * 300, "é" * 5000),
    *("None", "null", "true", "[]", "{}", "2026-13-45", "0000-00-00", "9999-12-31", "25:61"),
    *("0001-01-01 00:00:00", "9999-12-31 23:59:59", "a" * 32, "-", "_", ".", ",", ",,,1,x"),
)
BYTES = (
    *(b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xfe\xff\x00a"),
    *(b"\x80\x81", b"%", b"%zz", b"%u0041", b"%2F", b"%252F", b"%00"),
)
NAMES = (
    *("q", "p", "o", "all", "e", "_popup", "_to_field", "_facets", "_changelist_filters", "next"),
    *("page", "category", "action", "term", "app_label", "model_name", "field_name", "last"),
    *("type", "flash", "csrfmiddlewaretoken", "username", "password", "quantity", "product_id"),
    *("_selected_action", "select_across", "index", "post", "_save", "_continue", "_saveasnew"),
    *("form-TOTAL_FORMS", "form-INITIAL_FORMS", "", "pk", "id", "x[]", "__class__"),
    "user__password",
)
LOOKUPS = (
    *("", "__exact", "__in", "__isnull", "__gt", "__lte", "__regex", "__iregex", "__contains"),
    *("__year", "__date", "__range", "__nothing", "__id__exact", "__pk__in", "__", "__a__b"),
)
HEADERS: dict[str, tuple[str, ...]] = {
    "HTTP_ACCEPT": (
        *("*/*", "application/json", "text/html;q=0", "text/html;q=nan", "a" * 3000, ";;;", ","),
        *("application/json;q=x, */*;q=0.1", "\xff\xfe", "text/*;level=1;=", "/" * 50),
    ),
    "HTTP_X_REQUEST_ID": ("a" * 65, "a" * 64, "../x", "\xc3\xa9", "a\tb", "-", "{}", "1;DROP"),
    "HTTP_HOST": (
        *("evil.example", "localhost:99999", "testserver:x", "a b", "[::1", "..", "", "\xff"),
        *("testserver.", "TESTSERVER", "testserver@evil.example", "xn--\xff", "a" * 3000),
    ),
    "HTTP_REFERER": ("http://[", "https://evil.example/", "\xff", "javascript:1", "a" * 3000, "//"),
    "HTTP_ORIGIN": ("null", "http://[", "https://evil.example", "http://testserver:x", "\xff", ""),
    "HTTP_USER_AGENT": ("", "a" * 5000, "\xff\xfe", "\xc3\xa9\xf0\x9f\x98\x80", "<script>", "%00"),
    "HTTP_X_FORWARDED_FOR": ("1.2.3.4", "::1", "x" * 300, "1.2.3.4, 5.6.7.8", "\xff", ","),
    "HTTP_X_FORWARDED_PROTO": ("https", "gopher"),
    "HTTP_X_FORWARDED_HOST": ("evil.example",),
    "HTTP_X_REQUESTED_WITH": ("XMLHttpRequest",),
    "HTTP_X_HTTP_METHOD_OVERRIDE": ("DELETE",),
    "HTTP_AUTHORIZATION": ("Bearer x", "Bearer \xff", "Basic ====", "Bearer", "", "x" * 3000),
    "HTTP_RANGE": ("bytes=0-", "bytes=-1", "bytes=9-1,2-3", "x"),
    "HTTP_IF_MODIFIED_SINCE": ("yesterday", "Mon, 99 Foo 99999 99:99:99 GMT", "\xff"),
    "HTTP_IF_NONE_MATCH": ('"x"', "*", 'W/"', "\xff"),
    "HTTP_ACCEPT_LANGUAGE": ("x" * 3000, "de;q=x", "\xff", "*"),
    "HTTP_ACCEPT_ENCODING": ("gzip", "br;q=nan", "\xff"),
    "HTTP_TRANSFER_ENCODING": ("chunked", "x"),
    "HTTP_CONTENT_ENCODING": ("gzip",),
    "CONTENT_LENGTH": ("0", "", "1"),  # the server itself refuses non-numbers (test_wire.py)
    "REMOTE_ADDR": ("", "::1", "203.0.113.9"),
    "wsgi.url_scheme": ("https",),
}
CONTENT_TYPES = (
    *(FORM, "application/json", "text/plain", "multipart/form-data", "", "x", "\xff", ";" * 100),
    *(f"{FORM}; charset=utf-16", f"{FORM}; charset=nonsense", f"{FORM}; charset=\xff"),
    *("multipart/form-data; boundary=", "multipart/form-data; boundary=\xff\xfe"),
    *(f"multipart/form-data; boundary={BOUNDARY}", "multipart/form-data; boundary=" + "b" * 300),
    f"multipart/form-data; boundary={BOUNDARY}; charset=nonsense",
)
COOKIES = (
    *("sessionid=x", "sessionid=" + "a" * 4000, "sessionid=../../x", "sessionid=\xff", "=;=;;;"),
    *("csrftoken=x", "csrftoken=\xff", "messages=x", "messages=\xff", 'messages="[[]]:1:x"'),
    "a" * 8000,
    *("sessionid=%00", 'sessionid="a\\000b"', "$Version=1; x", "sessionid", "\xf0\x9f\x98\x80=1"),
    "; ".join(f"c{number}=1" for number in range(300)),
)


def value(rng: Random) -> bytes:
    """Return a hostile value for a field, a path segment or a query parameter."""
    kind = rng.randrange(10)
    if kind < 4:
        return rng.choice(NUMBERS).encode()
    if kind < 8:
        return rng.choice(TEXTS).encode()
    return rng.choice(BYTES) if kind == 8 else rng.randbytes(rng.randrange(1, 40))


def _field_name(rng: Random, model: type[Model] | None) -> str:
    if rng.random() < (0.3 if model else 0.6):
        return rng.choice(NAMES)
    chosen = model or rng.choice(apps.get_models())
    fields = [field.name for field in chosen._meta.get_fields()]
    return rng.choice(fields) + rng.choice(LOOKUPS)


def pairs(rng: Random, most: int = 4, model: type[Model] | None = None) -> bytes:
    """Return `name=value&…`, or sometimes rubbish; uses the field names of `model` if given."""
    if rng.random() < 0.1:
        return value(rng)
    return b"&".join(
        _field_name(rng, model).encode()
        + b"="
        + (quote_from_bytes(value(rng)).encode() if rng.random() < 0.9 else value(rng))
        for _ in range(rng.randint(1, most))
    )


def multipart(fields: list[tuple[str, bytes]], *, file: bytes | None = None) -> bytes:
    """Return fields and an optional file as a multipart body."""
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (BOUNDARY.encode(), quote(name).encode(), content)
        for name, content in fields
    ]
    if file is not None:
        parts.append(
            b'--%s\r\nContent-Disposition: form-data; name="f"; filename="../x"\r\n\r\n%s\r\n'
            % (BOUNDARY.encode(), file)
        )
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY.encode()


def _odd_encoding(rng: Random) -> bytes:
    encoding = b"base64" if rng.random() < 0.5 else b"\xff"
    return multipart([]).replace(b"--\r\n", b"\r\n") + (
        b'Content-Disposition: form-data; name="q"\r\nContent-Transfer-Encoding: %s\r\n\r\n=%s'
        % (encoding, value(rng))
    )


def _parts(rng: Random) -> bytes:
    return multipart([(rng.choice(NAMES), value(rng)) for _ in range(4)], file=value(rng))


_BODIES: tuple[Callable[[Random], bytes], ...] = (
    *[lambda rng: pairs(rng, 8)] * 3,
    lambda rng: json.dumps({rng.choice(NAMES): rng.choice(TEXTS)}).encode(),
    lambda _: b"[" * 50_000 + b"]" * 50_000,
    lambda rng: b"&".join(b"f%d=1" % number for number in range(rng.choice((999, 1001, 5000)))),
    lambda rng: _parts(rng)[: rng.randrange(200)],
    _parts,
    lambda rng: b"--%s\r\n" % BOUNDARY.encode() * rng.choice((1, 2, 3000)),
    _odd_encoding,
    lambda rng: rng.randbytes(rng.randrange(2000)),
    lambda _: b"",
)


def body(rng: Random) -> bytes:
    """Return a hostile request body."""
    return rng.choice(_BODIES)(rng)


def huge(rng: Random) -> bytes:
    """Return a body of 10 MB: rubbish, one field or a file."""
    size = 10 * 1024 * 1024
    kind = rng.randrange(3)
    if kind == 0:
        return b"\xff" * size
    return b"q=" + b"a" * size if kind == 1 else multipart([("q", b"1")], file=b"a" * size)
