"""Text for people: without HTML, unescaped once, without invisible characters, and cut."""

from __future__ import annotations

import time

import pytest

from partner_feeds.reading.problems import CellError
from partner_feeds.reading.text import plain, plain_lines

SEEN = "invisible characters removed"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        *(("a", "a"), ("", ""), (" a \t b\r\n c ", "a b c"), ("a\u00a0b", "a b")),
        *(("<b>Bold</b> &amp; &nbsp;x", "Bold & x"), ("a<br>b<BR/>c", "a b c")),
        *(("<p>a</p><p>b</p>", "a b"), ("a<b>b</b>c", "abc"), ("<i class='x>y'>a</i>", "a")),
        *(('<a title="5 > 4" href=x>a</a>', "a"), ("<td width=5>a</td>", "a")),
        # Unescaped once: what is escaped twice is shown as it was written.
        *(("&amp;amp;", "&amp;"), ("&lt;b&gt;x&lt;/b&gt;", "<b>x</b>"), ("&amp;lt;", "&lt;")),
        *(("Fish &amp chips", "Fish & chips"), ("AT&T", "AT&T"), ("&nosuch;", "&nosuch;")),
        *(("&#8364; &#x20AC;", "\u20ac \u20ac"), ("&eacute;", "\u00e9"), ("a&#11;b", "ab")),
        *(("<script>alert(1)</script>", ""), ("a<SCRIPT src=x>1<2</script >b", "ab")),
        *(("a<style>p{}</style>b", "ab"), ("a<script>b", "a"), ("a<script>b<i>", "a")),
        *(("<header>a</header>", "a"), ("<head>x</head>a", "a"), ("<template>x</template>a", "a")),
        *(("a<!-- b --><i>c</i>", "ac"), ("a<!-- b <i>c", "a"), ("<!doctype html>a", "a")),
        *(("a<?php echo 1 ?>b", "ab"), ("<![CDATA[a]]>b", "b"), ("<![x[y]]>b", "b")),
        *(("<![if !supportLists]>a<![endif]>", "a"), ("</ p>a", "a")),
        *(("a < b", "a < b"), ("a <b", "a <b"), ("I <3 you > all", "I <3 you > all")),
        *(("5 > 4", "5 > 4"), ("x<", "x<"), ("<", "<"), ("<>", "<>")),
        *(("a <= b >= c", "a <= b >= c"),),
        *(("=HYPERLINK(1)", "=HYPERLINK(1)"), ("@SUM(1)", "@SUM(1)")),
        *(("a\u2028b\u2029c\x0cd\x85e", "a b c d e"),),
    ],
)
def test_plain_text(html: str, text: str) -> None:
    assert plain(html, 120) == (text, "")


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        ("<p>one</p>\n\n<p> two  three </p>", "one\ntwo three"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<ul><li>a</li><li>b</li></ul>c", "a\nb\nc"),
        ("a\r\nb\rc\n\n\nd", "a\nb\nc\nd"),
        ("<h1>Title</h1>text", "Title\ntext"),
        ("<span>a</span> <span>b</span>", "a b"),
        ("<table><tr><td>a</td></tr><tr><td>b</td></tr></table>", "a\nb"),
    ],
)
def test_plain_lines(html: str, lines: str) -> None:
    assert plain_lines(html, 1000) == (lines, "")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("x" * 10, ("x" * 10, "")),
        ("x" * 11, ("x" * 9 + "…", "cut to 10 characters")),
        ("12345678 xyz", ("12345678…", "cut to 10 characters")),
        ("  " + "x" * 10 + "  ", ("x" * 10, "")),
        ("\u200bzero\u200bwidth", ("zerowidth", SEEN)),
        ("\u202eevil", ("evil", SEEN)),
        ("a\u00adb\ufeffc\u2066d", ("abcd", SEEN)),
        ("&#8203;a", ("a", SEEN)),
        ("\u200b" + "x" * 11, ("x" * 9 + "…", f"{SEEN}, cut to 10 characters")),
        ("\u200b", ("", SEEN)),
    ],
)
def test_what_is_changed_is_noted(text: str, result: tuple[str, str]) -> None:
    assert plain(text, 10) == result


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("a\x00", "control_character"), ("a\x0bb", "control_character")),
        *(("\x1b[31m", "control_character"), ("a\x7f", "control_character")),
        ("\u00e9\x80", "control_character"),
        *(("a\udce9", "encoding"), ("a\ud800", "encoding"), ("a\ufffd", "encoding")),
        *(("a\uffff", "encoding"), ("&#xD800;", "encoding"), ("&#0;", "encoding")),
        *(("M\u00c3\u00bcller", "encoding"), ("\u00e2\u201a\u00ac", "encoding")),
        ("&#" + "1" * 5000 + ";", "entity"),
    ],
)
def test_broken_characters_are_not_accepted(text: str, code: str) -> None:
    with pytest.raises(CellError) as raised:
        plain(text, 120)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "piece",
    [
        *("<a ", "<p/", "<!--", '<a b="', "<a b='", "<a b=", "</", "<?", "<!", "<![", "<script>"),
        *("&", "&#", "&#1", "<x<", "<a =", "<script", "</script", "<style><!--", "= <a"),
    ],
)
@pytest.mark.parametrize("end", ["", ">", '">'])
def test_a_text_that_is_long_and_broken_takes_no_time(piece: str, end: str) -> None:
    """HTMLParser needs hours for a megabyte of some of them."""
    started = time.process_time()
    try:
        plain_lines(piece * (300_000 // len(piece)) + end, 120)
    except CellError as error:
        assert error.code == "entity"  # noqa: PT017 - most are accepted
    assert time.process_time() - started < 3
