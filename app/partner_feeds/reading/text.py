"""Text for people from a cell: HTML becomes plain text, once, and invisible characters go."""

from __future__ import annotations

import re
from html import unescape

from partner_feeds.reading.problems import CellError

# Line breaks and tabs are blanks; all other control characters mean that something is broken.
# PostgreSQL takes no NUL, and neither database a surrogate.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
_UNDECODED = re.compile("[\ud800-\udfff\ufffd\ufffe\uffff]")
# Zero width, and what turns the direction of writing.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# What begins ends at the end of the text at the latest: so the time grows with its length only.
# HTMLParser takes minutes for 100 KB of tags that do not end.
_HIDDEN = re.compile(
    r"<(script|style|template|head|noscript)(?=[\s/>]).*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(
    r"""</?([a-z][^\s/>]*)(?:[^>=]++|=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))?)*+(?:>|\Z)"""
    r"|<[!?/][^>]*>",
    re.IGNORECASE,
)
_BREAKS = {"br", "p", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6"}


def _without_html(text: str) -> str:
    """Return the text of HTML; entities are decoded once. What has no `>` is no tag."""
    text = _HIDDEN.sub("", text)
    end = text.rfind(">") + 1
    try:
        return unescape(_TAG.sub(_break, text[:end]) + text[end:])
    except ValueError as error:  # int() has a limit of digits
        raise CellError("entity", "There is an entity that stands for no character.") from error


def _break(tag: re.Match[str]) -> str:
    return "\n" if (tag[1] or "").lower() in _BREAKS else ""


def checked(text: str) -> str:
    """Return the text if every character of it was read as it was meant; else raise CellError."""
    if text.isascii():
        if not text.isprintable() and (bad := _CONTROL.search(text)):
            raise _control(bad[0])
        return text
    if _UNDECODED.search(text):
        raise CellError("encoding", "There are bytes that do not fit the feed's encoding.")
    if bad := _CONTROL.search(text):
        raise _control(bad[0])
    if _read_wrongly(text):
        raise CellError(
            "encoding", f"{text[:30]!r} was read in the wrong encoding: it seems to be UTF-8."
        )
    return text


def _control(character: str) -> CellError:
    return CellError("control_character", f"There is a control character, U+{ord(character):04X}.")


def _read_wrongly(text: str) -> bool:
    """Whether the text is UTF-8 that was read as CP1252, like `Ã¼`: chance hardly makes that."""
    try:
        text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return False
    return True


def plain(text: str, most: int) -> tuple[str, str]:
    """Return the text in one line without tags, at most `most` characters, and what was changed.

    Raises CellError for broken characters.
    """
    lines, note = plain_lines(text, most)
    return " ".join(lines.split()), note


def plain_lines(text: str, most: int) -> tuple[str, str]:
    """Return the text without tags, its lines kept, and what was changed."""
    text = checked(text)
    notes = []
    if "<" in text or "&" in text:
        # What an entity stands for may be broken as well.
        text = checked(_without_html(text))
    if not text.isascii():
        seen = _INVISIBLE.sub("", text)
        if seen != text:
            text = seen
            notes.append("invisible characters removed")
    text = "\n".join(line for line in (" ".join(row.split()) for row in text.splitlines()) if line)
    if len(text) > most:
        text = text[: most - 1].rstrip() + "…"
        notes.append(f"cut to {most} characters")
    return text, ", ".join(notes)
