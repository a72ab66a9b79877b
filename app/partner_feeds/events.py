"""What the log says of an ingestion."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partner_feeds.models import Ingestion

logger = logging.getLogger("retail.feeds")


def log_fields(ingestion: Ingestion) -> dict[str, Any]:
    """Return what every event about an ingestion has."""
    return {
        "ingestion": ingestion.reference,
        "partner": ingestion.partner.slug,
        "status": ingestion.status,
        "rows": ingestion.rows,
        "rejected": ingestion.rejected,
        "code": ingestion.code,
    }
