"""PromQL that stays right through restarts, late starts, and gaps in scraping."""

from __future__ import annotations

from alerts.model import Recording

# How far back a value is looked up that was scraped before a gap.
REMEMBERED = "1d"


def happened(
    counter: str, window: str, most: int = 0, by: str = "", remembered: str = REMEMBERED
) -> str:
    """Return an expression that is true if the counter rose by more than `most` in the window.

    `increase` finds what was counted between two scrapes of the window, before and after a restart.
    It misses what a new process counts before its first scrape, and what is counted during a gap.
    For these, the last value is compared with the last one before the window. A lower value, or one
    without an earlier one, is that of a new process: it counted everything in it.
    """
    total = f"sum by ({by})" if by else "sum"
    last = f"last_over_time({counter}[{window}])"
    before = f"last_over_time({counter}[{remembered}] offset {window})"
    return (
        f"round({total} (increase({counter}[{window}]))) > {most}\n"
        f"or {total} ({last} - {before} >= 0 or {last}) > {most}"
    )


def risen(counter: str, window: str, by: str) -> str:
    """Return by how much a sum in the database rose in the window.

    Every process reports the same sum, and none starts at 0, so neither a gap nor a restart hides
    or adds anything. After a restore from a backup, what is counted again counts again.
    """
    last, least = (f"{name}_over_time({counter}[{window}])" for name in ("last", "min"))
    return f"max by ({by}) ({last}) - min by ({by}) ({least})"


def last_known(name: str, expr: str, *, gauge: str = "") -> Recording:
    """Return a recording that keeps its last value while the expression has none.

    An alert on it does not resolve because its series disappeared. With `gauge`, values are kept
    only while nobody reports any value of it: of a removed job or disk, nothing is left to say.
    """
    kept = f"last_over_time({name}[{REMEMBERED}])"
    return Recording(name, f"{expr}\nor {kept}" + (f" unless on () {gauge}" if gauge else ""))


def until_scraped(name: str, expr: str) -> Recording:
    """Return a recording that keeps its value while no web process is scraped.

    Unlike a gauge, a share has no value without traffic, and then its alert resolves. It must not
    resolve because the counters disappeared.
    """
    return Recording(name, f'{expr}\nor {name} unless on () max(up{{job="web"}}) == 1')
