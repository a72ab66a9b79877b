"""The panels of partner feeds on the dashboard Jobs and feeds.

Rows and files are sums in the database, the same in every process: `max` of their increase.
"""

from grafana.parts import (
    BAD,
    GOOD,
    WARN,
    cell,
    logs_link,
    missing,
    override,
    row,
    series,
    shaded,
    stat,
    steps,
    table,
)
from grafana.queries import Json, or_none, query
from retail.thresholds import THRESHOLDS, in_words

HELD = THRESHOLDS.held_feeds
REJECTS = THRESHOLDS.feed_rejects
LOGS = logs_link("Logs of partner feeds", logger="retail.feeds")
ROWS, FILES = "retail_feed_rows_total", "retail_feed_ingestions_total"
REJECT_STEPS = steps((REJECTS.most_ratio, BAD))
AGE_STEPS = steps((1, BAD))
_REJECTED = f'{ROWS}{{result="rejected"}}'


def _rows(counter: str = ROWS, window: str = "$__range") -> str:
    """Return how many rows of each partner were applied in a window."""
    return f"sum by (partner) (max by (partner, result) (increase({counter}[{window}])))"


def _by_result(result: str) -> Json:
    return query(f'max by (partner) (increase({ROWS}{{result="{result}"}}[$__range]))', now=True)


AGE = (
    "max by (partner) (retail_feed_age_seconds)"
    " / on (partner) max by (partner) (retail_feed_most_age_seconds)"
)
_SHARE = f"{_rows(_REJECTED)} / ({_rows()} > 0)"

NOW = (
    stat(
        "Held files",
        "Files that would change more than usual, until staff apply or discard them. Normally 0. "
        "The desk, /desk/feeds/, shows what each would change.",
        [query("max(retail_feeds_held)", now=True)],
        size=(6, 4),
        thresholds=steps((1, WARN)),
        links=[LOGS],
    ),
    stat(
        "Oldest held file",
        f"Normally 0 s. Above {in_words(HELD.most_age_seconds)}, RetailFeedHeld fires: decide on "
        "the desk, /desk/feeds/, whether to apply or discard it.",
        [query("max(retail_feeds_held_oldest_seconds)", now=True)],
        size=(6, 4),
        unit="s",
        decimals=0,
        thresholds=steps((HELD.most_age_seconds / 2, WARN), (HELD.most_age_seconds, BAD)),
    ),
    stat(
        "Most overdue feed",
        "Time since the last file of the partner that is latest, as a ratio of its promise. "
        "Above 100 %, RetailFeedStale fires. Without any promise, there is no data.",
        [query(f"max({AGE})", now=True)],
        size=(6, 4),
        unit="percentunit",
        decimals=0,
        thresholds=AGE_STEPS,
    ),
    stat(
        "Refused files",
        "Files in the selected time range of which nothing was applied: cut off, in another "
        "format, or not fetched. Normally 0. The desk, /desk/feeds/, has the reason of each.",
        [query(f'max(increase({FILES}{{outcome="failed"}}[$__range]))', now=True)],
        size=(6, 4),
        decimals=0,
        thresholds=steps((1, WARN)),
        links=[LOGS],
    ),
)


PARTNERS = table(
    "Partners",
    "Rows of the files that were applied in the selected time range. Normally most are unchanged, "
    "and few are rejected: open those of a partner with a coloured cell on the desk, /desk/feeds/.",
    [
        *map(_by_result, ("created", "updated", "unchanged", "rejected")),
        query(_SHARE, now=True),
        query("time() - max by (partner) (retail_feed_last_success_timestamp_seconds)", now=True),
        query(AGE, now=True),
    ],
    size=(24, 7),
    unit="short",
    columns={
        "partner": "Partner",
        "Value #A": "Created",
        "Value #B": "Updated",
        "Value #C": "Unchanged",
        "Value #D": "Rejected",
        "Value #E": "Share rejected",
        "Value #F": "Since its last file",
        "Value #G": "Of its promise",
    },
    overrides=[
        *(
            override(name, **cell("none", decimals=0))
            for name in ("Created", "Updated", "Unchanged", "Rejected")
        ),
        override("Share rejected", **cell("percentunit", decimals=1), **shaded(REJECT_STEPS)),
        override("Since its last file", **cell("s", decimals=0), mappings=missing("-")),
        override("Of its promise", **cell("percentunit", decimals=0), **shaded(AGE_STEPS)),
    ],
    sort=[{"displayName": "Of its promise", "desc": True}],
    links=[LOGS],
)

GRAPHS = (
    series(
        "Rows per minute, by result",
        "Of files when they are applied to the end, so a large one is one peak. Normally mostly "
        "unchanged. For many updated or rejected rows, see which partner it is in the table above.",
        [
            query(
                f"sum by (result) (max by (partner, result) (rate({ROWS}[$__rate_interval]))) * 60",
                "{{result}}",
            )
        ],
        size=(12, 8),
        unit="short",
        stacked=True,
        links=[LOGS],
    ),
    series(
        "Rejected rows, by partner",
        f"Share of the rows of the last {in_words(REJECTS.window_seconds)}. Normally near 0. Above "
        f"{REJECTS.most_ratio:.0%}, RetailFeedRejects fires: see the codes of the partner's last "
        "file on the desk, /desk/feeds/.",
        [
            query(
                f"{_rows(_REJECTED, f'{REJECTS.window_seconds}s')}"
                f" / ({_rows(window=f'{REJECTS.window_seconds}s')} > 0)",
                "{{partner}}",
            )
        ],
        size=(12, 8),
        unit="percentunit",
        thresholds=REJECT_STEPS,
        soft_most=REJECTS.most_ratio,
        links=[LOGS],
    ),
    series(
        "Files per hour, by outcome",
        "Normally done and unchanged. held ones wait for staff, who apply or discard them. failed: "
        "nothing of the file was applied, and the desk, /desk/feeds/, says why.",
        [
            query(
                or_none(
                    f"max by (outcome) (increase({FILES}[1h])) > 0",
                    f"max(increase({FILES}[1h]))",
                    "outcome",
                ),
                "{{outcome}}",
            )
        ],
        size=(8, 8),
        unit="short",
        stacked=True,
        links=[LOGS],
        overrides=[override("none", color={"mode": "fixed", "fixedColor": GOOD})],
    ),
    series(
        "Age of the feeds, by partner",
        "Time since a partner's last file as a ratio of its promise. Normally below 100 %. Above "
        "the red line, RetailFeedStale fires: ask the partner, or upload a file on the desk.",
        [query(AGE, "{{partner}}")],
        size=(8, 8),
        unit="percentunit",
        thresholds=AGE_STEPS,
        soft_most=1,
    ),
    series(
        "Time to take in a file",
        "From its arrival until all rows are applied, of files done in the last day, also while "
        "held. Seconds to minutes, by its size. If it grows for no reason, see the worker's logs.",
        [
            query(
                f"histogram_quantile({rank}, sum by (le) "
                '(increase(retail_feed_duration_seconds_bucket{outcome="done"}[1d])))',
                legend,
            )
            for rank, legend in ((0.5, "median"), (0.95, "p95"))
        ],
        size=(8, 8),
        unit="s",
        links=[LOGS],
    ),
)

PANELS: list[Json] = [row("Partner feeds"), *NOW, PARTNERS, *GRAPHS]
