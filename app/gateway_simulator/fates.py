"""What becomes of a new refund: its states and when they are due, drawn when it is made."""

from dataclasses import dataclass
from zlib import crc32

from gateway_simulator.knobs import State


@dataclass(frozen=True)
class Step:
    """A state of a refund, and the time from its creation until then."""

    status: str
    reason: str | None = None
    after_ms: int = 0


def steps(knobs: State, chance: float) -> list[Step]:
    """Return the states of a new refund in order; ``chance`` is from 0 to below 1."""
    wait = knobs.refund_pending_ms
    failed = knobs.refund_fail_share
    cancelled = failed + knobs.refund_cancel_share
    failed_late = cancelled + knobs.refund_late_fail_share
    ends = [Step("succeeded", None, wait)]
    if chance < failed:
        ends = [Step("failed", "rejected_by_bank", wait)]
    elif chance < cancelled:
        ends = [Step("cancelled", "cancelled_by_provider", wait)]
    elif chance < failed_late:
        ends.append(Step("failed", "returned_by_bank", wait + knobs.refund_late_ms))
    return [Step("pending"), *ends] if wait else ends


def turns_out_disputed(knobs: State, charge_key: str) -> bool:
    """Return whether a charge is of the disputed share. The same charge always is, or is not."""
    return crc32(charge_key.encode()) < knobs.dispute_share * 2**32
