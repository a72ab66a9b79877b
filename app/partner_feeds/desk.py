"""Permissions and page sizes of staff's pages of partner feeds."""

MAY_LOOK = "partner_feeds.view_ingestion"
MAY_DECIDE = "partner_feeds.decide_ingestion"
MAY_CHANGE = "partner_feeds.change_partner"
PAGE_SIZE = 20
TRIAL_ROWS, TRIAL_SECONDS = 20_000, 20
