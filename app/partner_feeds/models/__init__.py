"""Partners, the taking-in of their files, and what is needed to take it back."""

from partner_feeds.models.ingestion import ENDED, INGESTION_TRANSITIONS, FilePart, Ingestion
from partner_feeds.models.partner import Partner, PushKey
from partner_feeds.models.rows import AppliedChange, RejectedRow, StagedRow

__all__ = [
    "ENDED",
    "INGESTION_TRANSITIONS",
    "AppliedChange",
    "FilePart",
    "Ingestion",
    "Partner",
    "PushKey",
    "RejectedRow",
    "StagedRow",
]
