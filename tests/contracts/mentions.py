"""Find numbers in texts: times, shares, counts, and windows and limits of queries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Path = tuple[str | int, ...]

UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400,
         "second": 1, "minute": 60, "hour": 3600, "day": 86_400}  # fmt: skip
WORDS = {"half a": 0.5, "half": 0.5, "two": 2, "three": 3, "five": 5, "six": 6, "ten": 10,
         "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60}  # fmt: skip
NUMBER = r"(?<![\d.,])(\d[\d,]*(?:\.\d+)?)"
TIME = re.compile(
    rf"(?:\b({'|'.join(WORDS)})[ -]|{NUMBER}[ \u00a0-]?)(second|minute|hour|day)s?\b"
    rf"|{NUMBER}[ \u00a0](ms|min|s|h|d)\b"
    r"|\b(?:for|after|than|last|(?:with)?in) (a)n? (minute|hour)\b"
)
WINDOW = re.compile(rf"{NUMBER}(ms|s|m|h|d)\b")
SHARE = re.compile(rf"{NUMBER}[ \u00a0]?%(?!\}})")
COUNT = re.compile(
    rf"{NUMBER}(?: bad| settled)? (?:requests|payments|lines|events|conflicts|units|times)\b"
    rf"|(?:at least|[Ff]ewer than|[Mm]ore than|at most) {NUMBER}(?![\w.]| ?%| [mshd])"
)
LIMIT = re.compile(
    rf'(?:[<>*/]=?|==|le=") *{NUMBER}(?![\da-z%.])|^(?:value|params|axis\w+): {NUMBER}$'
)


class Mention(NamedTuple):
    """A number in a text. Times are in seconds, shares from 0 to 1."""

    kind: str  # time, share, count; in queries window, limit
    value: float
    text: str


PROSE = {"time", "share", "count"}
QUERY = {"window", "limit"}


def mentions(text: str) -> Iterator[Mention]:
    """Yield the numbers in a line."""
    for match in TIME.finditer(text):
        word, number, unit, short, short_unit, article, article_unit = match.groups()
        count = WORDS[word.lower()] if word else 1 if article else _number(number or short)
        yield _time("time", count, unit or short_unit or article_unit, match)
    for match in WINDOW.finditer(text):
        yield _time("window", _number(match[1]), match[2], match)
    for kind, pattern, scale in (("share", SHARE, 0.01), ("count", COUNT, 1), ("limit", LIMIT, 1)):
        for match in pattern.finditer(text):
            number = next(group for group in match.groups() if group)
            yield Mention(kind, round(_number(number) * scale, 6), match[0])


def _time(kind: str, count: float, unit: str, match: re.Match[str]) -> Mention:
    return Mention(kind, round(count * UNITS[unit], 6), match[0])


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path and value of each leaf of a parsed file."""
    if isinstance(node, (dict, list)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*path, key))
    else:
        yield path, node


def stated(
    lines: Iterable[str], thresholds: dict[str, Any], kinds: set[str]
) -> Iterator[tuple[str, str]]:
    """Yield each mention of a threshold's value, with its line."""
    numbers = _numbers(thresholds)
    for line in lines:
        for mention in mentions(line):
            if mention.kind in kinds and mention.value in numbers[mention.kind]:
                yield mention.text, line.strip()


def _numbers(thresholds: dict[str, Any]) -> dict[str, set[float]]:
    """Return the thresholds' values by kind, without limits and counts of 0 or 1."""
    times, shares, counts = set[float](), set[float](), set[float]()
    of_unit = {"seconds": times, "ratio": shares}
    for path, value in leaves(thresholds):
        if not isinstance(value, str):
            of_unit.get(str(path[-1]).rpartition("_")[2], counts).add(value)
    budgets = {round(1 - share, 6) for share in shares}
    limits = (times | shares | budgets | counts) - {0, 1}
    return {
        "time": times,
        "window": times,
        "share": shares,
        "count": counts - {0, 1},
        "limit": limits,
    }
