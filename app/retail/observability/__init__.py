"""Metrics, metric rows, structured logs, request ids. Imports no Django.

`record_metric(metric_type, value, metadata)` records a row for the in-app pages. The `record_*`
functions of each app call it and update their Prometheus metrics.
"""

from retail.observability.context import current_request_id
from retail.observability.rows.recorder import record_metric

__all__ = ["current_request_id", "record_metric"]
