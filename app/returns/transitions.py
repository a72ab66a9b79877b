"""The allowed changes of status of returns and refunds."""

from returns.models import Refund, Return

_R, _M = Return.Status, Refund.Status

RETURN_TRANSITIONS: dict[str, frozenset[str]] = {
    _R.REQUESTED: frozenset({_R.APPROVED, _R.REJECTED}),
    _R.APPROVED: frozenset({_R.RECEIVED, _R.EXPIRED}),
    _R.RECEIVED: frozenset({_R.CLOSED}),
    _R.REJECTED: frozenset(),
    _R.EXPIRED: frozenset(),
    _R.CLOSED: frozenset(),
}
_ENDS = {_M.SUCCEEDED, _M.FAILED, _M.CANCELLED}
REFUND_TRANSITIONS: dict[str, frozenset[str]] = {
    _M.REQUESTED: frozenset({_M.UNKNOWN, _M.PENDING, *_ENDS}),
    _M.UNKNOWN: frozenset({_M.PENDING, _M.NEEDS_HUMAN, *_ENDS}),
    _M.PENDING: frozenset({_M.NEEDS_HUMAN, *_ENDS}),
    _M.NEEDS_HUMAN: frozenset({_M.PENDING, *_ENDS}),
    _M.SUCCEEDED: frozenset({_M.FAILED}),
    _M.FAILED: frozenset(),
    _M.CANCELLED: frozenset(),
}
