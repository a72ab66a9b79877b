"""What the shop lets be seen of itself: metrics, rows, logs, request ids. No ORM in here.

`record_metric(metric_type, value, metadata)` keeps a row for the in-app pages; each app's
`record_*` functions call it beside moving their Prometheus metrics.
"""

from retail.observability.context import current_request_id
from retail.observability.rows.recorder import record_metric

__all__ = ["current_request_id", "record_metric"]
