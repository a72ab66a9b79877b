"""Odd bytes, and the places in a request where a client writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "fuzz-token"  # METRICS_TOKEN and ALERTS_TOKEN
COOKIES = ("sessionid", "csrftoken", "messages", "other")
# As in WSGI: each character is a byte. Long enough to be looked up as a session.
ODD = (
    *("\x00" * 32, "a" * 16 + "\x00" + "a" * 15, "\xff" * 32, "\xc0\x80" * 16, "\xed\xa0\x80" * 11),
    *("\xf4\x90\x80\x80" * 8, "\xe2\x82" * 16, "é".encode().decode("latin-1") * 16, "a" * 32),
    *("A" * 7000, "%00" * 11, "%ed%a0%80" * 4, "\x01\x7f\x80\x9f" * 8, "\xa0" * 32, "1" * 5000),
    *("\u2028".encode().decode("latin-1") * 11, "\xef\xbb\xbf" * 11, "=" * 32, ",;" * 16, '"'),
)
# Cookies may be quoted, with octal escapes.
ESCAPED = (
    *('"aaaaaaaa\\000bbbbbbbb"', '"' + "\\000" * 32 + '"', '"' + "\\355\\240\\200" * 11 + '"'),
    *('"' + "\\377" * 32 + '"', '"' + "a" * 31 + '\\"', '"' + "\\200" * 64 + '"'),
)
CHARSETS = (
    *("utf-7", "utf-16", "unicode_escape", "idna", "punycode", "rot13", "hex", "zip", "undefined"),
    *("\x00", "a" * 999, "\xb2", "latin-1"),
)
_NAMES = (b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"a" * 5000, b"csrfmiddlewaretoken", b"")
# Beside odd bytes: what a library may parse, and fail to.
PARSED: dict[str, tuple[str, ...]] = {
    "HTTP_ACCEPT": (
        *("application/openmetrics-text;version=x", "application/openmetrics-text;version="),
        *("application/openmetrics-text;version=1.x;q=1", "text/plain;version=\xb2.0.0"),
        *("application/openmetrics-text;version=" + "9" * 5000, "text/plain;version=2.\x7f"),
        *(
            "application/openmetrics-text;version=2.\r\nx: y",
            "text/plain;=;version=1.0.0;escaping=",
        ),
        *(
            "application/json;q=" + "9" * 5000,
            "text/html;q=-1,application/json;q=inf",
            "a/b;q=\xb2",
        ),
    ),
    "HTTP_AUTHORIZATION": (
        *("Bearer", "Bearer \x00", "bearer  ", "Basic \xff", f"Bearer {TOKEN}\x00", "\xff \xff"),
    ),
    "HTTP_IF_MODIFIED_SINCE": (
        *("Mon, 31 Feb 2000 00:00:00 GMT", "Mon, 01 Jan 0000 00:00:00 GMT", "0", "\xb2"),
        *("Mon, 01 Jan 99999 00:00:00 GMT", "Monday, 01-Jan-00 25:61:61 GMT"),
        "Mon, 01 Jan 9999 99:99:99 +9999",
    ),
    "HTTP_IF_UNMODIFIED_SINCE": ("Mon, 31 Feb 2000 00:00:00 GMT", "0"),
    "HTTP_IF_NONE_MATCH": ('W/"', '"' * 999, "*,*", 'W/"\xff"', '"a",' * 900),
    "HTTP_IF_MATCH": ('W/"', "*", '"a",' * 900),
    "HTTP_IF_RANGE": ("x", '"x"', "Mon, 31 Feb 2000 00:00:00 GMT"),
    "HTTP_RANGE": (
        *("bytes=" + "9" * 5000 + "-", "bytes=\xb2-\xb2", "bytes=--1", "bytes=1-0", "bytes=-0"),
        *(
            "bytes=" + "0-0," * 999,
            "bytes=999999999999-",
            "bytes=0-999999999999999999999",
            "bytes=-",
        ),
        *("bytes=a-b", "items=0-1", "bytes", "bytes=0-1-2", "bytes=+1-+2", "bytes=1_0-2_0"),
    ),
    "HTTP_HOST": (
        *("testserver:" + "9" * 5000, "testserver:\xb2", "[", "[]", "[::1", "[::1]:x", ":80", "@"),
        *("testserver:0", "testserver:-1", "testserver/x", "test server", "testserver\x00", "."),
    ),
    "HTTP_ORIGIN": ("http://[", "null", "http://\xff", "http://testserver:99999", "x" * 5000),
    "HTTP_REFERER": ("http://[", "https://[", "https://testserver:x/", "http://testserver:99999/"),
    "HTTP_X_FORWARDED_FOR": (
        "\x00",
        "1.2.3.4\x00",
        "[",
        "::ffff:" * 99,
        "999.999.999.999",
        "," * 99,
    ),
    "HTTP_X_FORWARDED_HOST": ("[", "\x00", "a" * 5000),
    "HTTP_X_FORWARDED_PORT": ("x", "99999", "\xb2"),
    "HTTP_X_FORWARDED_PROTO": ("https,http", "\x00", "HTTPS"),
    "HTTP_FORWARDED": ("for=\x00", "for=[::1", "=;=;"),
    "HTTP_X_REQUEST_ID": ("\x00", "a\r\nb: c", "a" * 5000, "\xb2", "a\n"),
    "HTTP_TRACEPARENT": ("00-" + "0" * 32 + "-" + "0" * 16 + "-00", "00-x-y-z", "\x00"),
    "HTTP_TRACESTATE": ("=" * 600, "a=\x00"),
    "HTTP_ACCEPT_LANGUAGE": ("de;q=\xb2", "*;q=inf", "a" * 5000, "de-" * 999, ";;;,,,"),
    "HTTP_ACCEPT_ENCODING": ("gzip;q=\xb2", "*;q=nan", "br;q=0", ";;", "gzip" * 999),
    "HTTP_USER_AGENT": ("\x00", "a" * 5000, "é".encode().decode("latin-1") * 200),
    "HTTP_X_CSRFTOKEN": ("\x00" * 32, "é".encode().decode("latin-1") * 32, "a" * 5000),
    "HTTP_X_REQUESTED_WITH": ("\x00",),
    "HTTP_HX_REQUEST": ("\x00", "true"),
    "HTTP_CONTENT_ENCODING": ("gzip", "\x00"),
    "HTTP_CONTENT_MD5": ("\x00",),
    "HTTP_EXPECT": ("100-continue", "\x00"),
    "HTTP_TRANSFER_ENCODING": ("chunked", "\x00", "gzip, chunked"),
    "HTTP_UPGRADE": ("websocket", "h2c"),
    "HTTP_CONNECTION": ("close, \x00",),
    "HTTP_TE": ("trailers;q=\xb2",),
    "CONTENT_TYPE": (
        *("\x00", "application/x-www-form-urlencoded; charset=\x00", "multipart/form-data"),
        *("multipart/form-data; boundary=\x00", "multipart/form-data; boundary=" + "b" * 5000),
        *("multipart/form-data; boundary*=utf-8''%ed%a0%80", "multipart/form-data; boundary*0=a"),
        *("multipart/form-data; boundary*=x'y", "a/b; c*=''", "a/b; c*='"),
        *("application/x-www-form-urlencoded; charset=" + name for name in CHARSETS),
        *("application/json; charset=" + name for name in CHARSETS),
    ),
    "CONTENT_LENGTH": ("", "0", "-1", "x", "\xb2", "9" * 5000, "1_0", " 1 ", "+1", "1.5"),
    "REMOTE_ADDR": ("", "unix:", "::1%eth0", "\xff", "999.1.1.1"),
    "SERVER_PORT": ("x", ""),
    "QUERY_STRING": ("%00", "q=%ed%a0%80", "\xff=\xff", "&".join(["a=1"] * 1100), "p=%"),
}

ADDRESSES = (
    *("/", "/products/", "/accounts/login/", "/accounts/register/", "/accounts/password-reset/"),
    *("/accounts/profile/", "/cart/", "/cart/add/", "/checkout/", "/orders/", "/admin/"),
    *("/admin/login/", "/admin/products/product/", "/admin/auth/user/add/", "/metrics/dashboard/"),
    *("/metrics", "/healthz", "/readyz", "/metrics/api/", "/metrics/alerts/", "/metrics/alerts"),
    *("/metrics/quality-scenarios/", "/static/vitrine/vitrine.css", "/static/nowhere", "/nowhere"),
)
# Those that read most headers, by themselves or in a library.
READING = (
    "/products/",
    "/accounts/login/",
    "/metrics",
    "/metrics/api/",
    "/static/vitrine/vitrine.css",
)
# Each is a part of a form's multipart body, after "--fuzz" and a line's end.
PARTS = (
    *(b'Content-Disposition: form-data; name="%s"\r\n\r\n1' % name for name in _NAMES),
    *(
        b'Content-Disposition: form-data; name="f"; filename%s\r\n\r\n1' % name
        for name in (
            *(b'="%s"' % name for name in _NAMES),
            *(b"*=nonsense''%61", b"*=utf-7''%2B2AA-", b"*=rot13''%61", b"*=''", b"*='", b"*0*=x"),
            *(b"*=utf-8''%00", b"*=utf-8''%ed%a0%80", b'="../../x"', b'="."', b'=".."', b'="\\"'),
        )
    ),
    *(
        b'Content-Disposition: form-data; name="f"; filename="f"\r\nContent-Type: %s\r\n\r\n1'
        % kind
        for kind in (
            b"text/plain; charset=nonsense",
            b"a; b*=nonsense''%61",
            b"\xff",
            b"",
            b"a\x00",
        )
    ),
    *(
        b'Content-Disposition: form-data; name="q"\r\nContent-Transfer-Encoding: %s\r\n\r\n%s'
        % pair
        for pair in (
            (b"base64", b"="),
            (b"base64", b"\xff"),
            (b"\x00", b"1"),
            (b"7bit", b"\xed\xa0\x80"),
        )
    ),
    *(
        b"Content-Disposition: %s\r\n\r\n1" % odd
        for odd in (b"", b"\xff", b"form-data; name*=x", b";")
    ),
    b"\xff\r\n\r\n1",
    b": \r\n\r\n1",
    b"",
)


def cookies() -> Iterator[str]:
    """Yield a header for each cookie with each odd value."""
    for name in COOKIES:
        for value in (*ODD, *ESCAPED):
            yield f"{name}={value}"
    yield from (f"{value}=1; {value}" for value in ODD)


def parsed() -> Iterator[tuple[str, str]]:
    """Yield each header with each value that may fail to be parsed."""
    for name, values in PARSED.items():
        for value in values:
            yield name, value


def headers() -> Iterator[tuple[str, str]]:
    """Yield each header with each odd value."""
    for name in PARSED:
        for value in ODD:
            yield name, value
