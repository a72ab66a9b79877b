"""Partner feeds: late, held, or with many rejected rows. The values are the same in every process.

A refused file raises no alert of its own: the next one may be good, and a partner with a promise is
late when none is. The dashboard's check shows it.
"""

from alerts.model import Alert, Group, span
from alerts.queries import last_known, risen
from retail.thresholds import THRESHOLDS, in_words

HELD_LIMIT = THRESHOLDS.held_feeds
REJECTS_LIMIT = THRESHOLDS.feed_rejects
STALE_LIMIT = THRESHOLDS.stale_feeds
_WINDOW = span(REJECTS_LIMIT.window_seconds)
_LOGS = (("var-service", "worker"), ("var-logger", "retail.feeds"))
# Reported whenever the others are: of a partner that is no longer active, nothing is left to say.
_REPORTED = "retail_feeds_held"

AGE = last_known(
    "service:retail_feed_age_seconds:last",
    "max by (partner) (retail_feed_age_seconds)",
    gauge=_REPORTED,
)
MOST_AGE = last_known(
    "service:retail_feed_most_age_seconds:last",
    "max by (partner) (retail_feed_most_age_seconds)",
    gauge=_REPORTED,
)
HELD_OLDEST = last_known(
    "service:retail_feeds_held_oldest_seconds:last", "max(retail_feeds_held_oldest_seconds)"
)

STALE = Alert(
    name="RetailFeedStale",
    expr=f"{AGE.record} > on (partner) {MOST_AGE.record}",
    for_seconds=STALE_LIMIT.for_seconds,
    severity="warning",
    service="shop",
    summary="No file of partner {{ $labels.partner }} for {{ $value | humanizeDuration }}",
    description="The partner promised to deliver more often. Its prices and stock in the shop are "
    "as old as its last file. The partner other stands for several: the dashboard's check Partner "
    "feeds names the latest ones. First steps:",
    steps=(
        (
            "Open the partner's files on the desk, /desk/feeds/. Was the last one refused or held? "
            "Its page says why."
        ),
        (
            "Run docker compose logs --since 1h worker and find event=feed.read. If files arrive "
            "and none ends, is the worker running? docker compose ps worker."
        ),
        "If no file arrives, ask the partner. Its files can also be uploaded on the desk.",
    ),
    dashboard="retail-jobs",
    logs=_LOGS,
)

HELD = Alert(
    name="RetailFeedHeld",
    expr=f"{HELD_OLDEST.record} > {HELD_LIMIT.most_age_seconds}",
    severity="warning",
    service="shop",
    summary="A partner's file has been held for {{ $value | humanizeDuration }}",
    description="It would change more than usual, so nothing of it is applied until someone "
    f"decides, which should take less than {in_words(HELD_LIMIT.most_age_seconds)}. First steps:",
    steps=(
        (
            "Open /desk/feeds/. Held files are on top, each with the limits that it exceeds and "
            "the products that would change most."
        ),
        (
            "Are the changes meant, such as new prices of a season? Ask the partner, and apply the "
            "file anyway with a reason."
        ),
        (
            "If not, such as prices without their decimal sign, discard it. The partner's next "
            "file replaces it, too."
        ),
    ),
    dashboard="retail-jobs",
    logs=_LOGS,
)

# What was there at the first scrape did not happen in the window. A partner's series begin before
# its first file.
_REJECTED = risen('retail_feed_rows_total{result="rejected"}', _WINDOW, by="partner")
_ROWS = f"sum by (partner) ({risen('retail_feed_rows_total', _WINDOW, by='partner, result')})"
REJECTS = Alert(
    name="RetailFeedRejects",
    expr=f"({_REJECTED})\n/ {_ROWS} > {REJECTS_LIMIT.most_ratio}\n"
    f"and {_ROWS} >= {REJECTS_LIMIT.least_rows}",
    severity="ticket",
    service="shop",
    summary="{{ $value | humanizePercentage }} of the rows of partner {{ $labels.partner }} are "
    "rejected",
    description=f"In the last {in_words(REJECTS_LIMIT.window_seconds)}, more than "
    f"{REJECTS_LIMIT.most_ratio:.0%} of the rows of its files were rejected. These products stay "
    "as they were; the others are up to date. First steps:",
    steps=(
        (
            "Open the partner's last file on the desk, /desk/feeds/. Which code do most rejected "
            "rows have? The sentence of each says what is wrong."
        ),
        (
            "If the partner has changed its format, adapt its settings: columns, decimal sign, "
            "currency symbol."
        ),
        "Otherwise send the partner the list of rejected rows, and ask for a corrected file.",
    ),
    dashboard="retail-jobs",
    logs=_LOGS,
)

GROUPS = (Group("retail_feeds", (AGE, MOST_AGE, HELD_OLDEST, STALE, HELD, REJECTS)),)
